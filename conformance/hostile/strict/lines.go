// Package strict reads HTTP/1.1 messages and takes nothing that two parsers could read in two ways:
// what it accepts has one meaning. It judges what reaches a backend, and what reaches a client.
package strict

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strings"
)

// longestLine bounds one line, mostFields a head.
const (
	longestLine = 1 << 20
	mostFields  = 1000
)

// Ambiguity is a message that has no single meaning.
type Ambiguity struct{ What string }

func (a *Ambiguity) Error() string { return a.What }

func ambiguous(format string, arguments ...any) error {
	return &Ambiguity{fmt.Sprintf(format, arguments...)}
}

// Field is one header or trailer line.
type Field struct{ Name, Value string }

// Fields are header or trailer lines as they came.
type Fields []Field

// Values returns the values of a field, whatever the case of its name.
func (f Fields) Values(name string) []string {
	var values []string
	for _, field := range f {
		if strings.EqualFold(field.Name, name) {
			values = append(values, field.Value)
		}
	}
	return values
}

// readLine reads a line that ends in CR LF and has neither of them inside.
func readLine(r *bufio.Reader) (string, error) {
	var line []byte
	for {
		part, err := r.ReadSlice('\n')
		line = append(line, part...)
		if err == nil {
			break
		}
		if errors.Is(err, bufio.ErrBufferFull) && len(line) < longestLine {
			continue
		}
		if errors.Is(err, io.EOF) && len(line) > 0 {
			return "", io.ErrUnexpectedEOF
		}
		return "", err
	}
	text, ok := strings.CutSuffix(string(line), "\r\n")
	if !ok {
		return "", ambiguous("a line ends in a bare LF: %.100q", line)
	}
	if strings.ContainsRune(text, '\r') {
		return "", ambiguous("a bare CR in a line: %.100q", line)
	}
	return text, nil
}

// readFields reads header or trailer lines up to the empty line.
func readFields(r *bufio.Reader) (Fields, error) {
	var fields Fields
	for len(fields) < mostFields {
		line, err := readLine(r)
		if err != nil {
			return fields, unexpected(err)
		}
		if line == "" {
			return fields, nil
		}
		field, err := parseField(line)
		if err != nil {
			return fields, err
		}
		fields = append(fields, field)
	}
	return fields, ambiguous("more than %d fields", mostFields)
}

func parseField(line string) (Field, error) {
	if line[0] == ' ' || line[0] == '\t' {
		return Field{}, ambiguous("a continued line: %.100q", line)
	}
	name, value, found := strings.Cut(line, ":")
	if !found || !isToken(name) {
		return Field{}, ambiguous("not a field: %.100q", line)
	}
	value = strings.Trim(value, " \t")
	for i := range len(value) {
		if c := value[i]; c < ' ' && c != '\t' || c == 0x7f {
			return Field{}, ambiguous("a control byte in a value: %.100q", line)
		}
	}
	return Field{name, value}, nil
}

// unexpected is the error for an end that comes inside a message.
func unexpected(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// isToken follows RFC 9110 section 5.6.2.
func isToken(text string) bool {
	for i := range len(text) {
		c := text[i]
		letter := 'a' <= c|0x20 && c|0x20 <= 'z'
		if !letter && (c < '0' || c > '9') && !strings.ContainsRune("!#$%&'*+-.^_`|~", rune(c)) {
			return false
		}
	}
	return text != ""
}

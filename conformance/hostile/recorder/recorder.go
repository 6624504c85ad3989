// Package recorder is a backend that keeps the exact bytes of every request that reaches it, reads them
// strictly, and answers as it is told.
package recorder

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"time"

	"selvedge.dev/conformance/hostile/strict"
)

const (
	// settleLimit bounds the wait for requests that have begun to end in one way or the other.
	settleLimit = 5 * time.Second
	// keptBytes of a connection are shown when something is wrong with it.
	keptBytes = 4096
)

// Answer is what a request gets instead of "200" and its own request line.
type Answer struct {
	Bytes string
	// Early answers come before the body is read.
	Early bool
	// Close ends the connection afterwards.
	Close bool
}

// Record is what reached the backend.
type Record struct {
	// Requests are complete, and have one meaning.
	Requests []*strict.Request
	// Broken are requests whose connection ended before they did: nobody acts on those.
	Broken []*strict.Request
	// Faults are what could be read in two ways, and requests that never ended.
	Faults []string
}

// Recorder is one such backend.
type Recorder struct {
	listener net.Listener

	mutex   sync.Mutex
	changed *sync.Cond
	record  Record
	// open counts requests that have begun and not ended.
	open int
	// scripted is the answer to every request for the target.
	scripted map[string]Answer
}

// Listen starts a backend on a port of 127.0.0.1.
func Listen(port int) (*Recorder, error) {
	listener, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		return nil, err
	}
	r := &Recorder{listener: listener, scripted: map[string]Answer{}}
	r.changed = sync.NewCond(&r.mutex)
	go r.accept()
	return r, nil
}

// Close ends it.
func (r *Recorder) Close() error { return r.listener.Close() }

// Script sets the answer to requests for a target; Take removes it.
func (r *Recorder) Script(target string, answer Answer) {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	r.scripted[target] = answer
}

// Take waits until no request is under way, returns what came since the last time, and forgets scripts.
func (r *Recorder) Take() Record {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	expired := false
	timer := time.AfterFunc(settleLimit, func() {
		r.mutex.Lock()
		defer r.mutex.Unlock()
		expired = true
		r.changed.Broadcast()
	})
	defer timer.Stop()
	for r.open > 0 && !expired {
		r.changed.Wait()
	}
	record := r.record
	if r.open > 0 {
		record.Faults = append(record.Faults, "a request at the backend neither ends nor is given up")
	}
	r.record, r.scripted = Record{}, map[string]Answer{}
	return record
}

func (r *Recorder) accept() {
	for {
		connection, err := r.listener.Accept()
		if err != nil {
			return
		}
		go r.serve(connection)
	}
}

// serve reads one request after the other until the connection ends or a request is not clear.
func (r *Recorder) serve(connection net.Conn) {
	defer func() { _ = connection.Close() }()
	kept := &tail{}
	reader := bufio.NewReader(io.TeeReader(connection, kept))
	for {
		if _, err := reader.Peek(1); err != nil {
			return
		}
		kept.cut(reader.Buffered())
		r.begin()
		again, err := r.exchange(connection, reader)
		r.end(err, kept)
		if !again {
			return
		}
	}
}

// exchange reads and answers one request, and says whether another may follow.
func (r *Recorder) exchange(connection net.Conn, reader *bufio.Reader) (bool, error) {
	request, err := strict.ReadRequestHead(reader)
	if err != nil {
		r.broken(request)
		return false, err
	}
	answer := r.answerTo(request)
	if answer.Early {
		_, err = io.WriteString(connection, answer.Bytes)
	} else if len(request.Fields.Values("expect")) > 0 {
		_, err = io.WriteString(connection, "HTTP/1.1 100 Continue\r\n\r\n")
	}
	if err == nil {
		err = request.ReadBody(reader)
	}
	if err != nil {
		r.broken(request)
		return false, err
	}
	r.complete(request)
	if !answer.Early {
		_, err = io.WriteString(connection, answer.Bytes)
	}
	return !answer.Close && err == nil, nil
}

func (r *Recorder) answerTo(request *strict.Request) Answer {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	if answer, ok := r.scripted[request.Target]; ok {
		return answer
	}
	body := request.Line()
	head := fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n", len(body))
	if request.Method == "HEAD" {
		body = ""
	}
	return Answer{Bytes: head + body}
}

func (r *Recorder) begin() {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	r.open++
}

func (r *Recorder) end(err error, kept *tail) {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	r.open--
	var ambiguity *strict.Ambiguity
	if errors.As(err, &ambiguity) {
		r.record.Faults = append(r.record.Faults, fmt.Sprintf("reached the backend: %s; its bytes: %q", ambiguity.What, kept.bytes))
	}
	r.changed.Broadcast()
}

func (r *Recorder) complete(request *strict.Request) {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	r.record.Requests = append(r.record.Requests, request)
}

func (r *Recorder) broken(request *strict.Request) {
	if request == nil {
		return
	}
	r.mutex.Lock()
	defer r.mutex.Unlock()
	r.record.Broken = append(r.record.Broken, request)
}

// tail keeps the last bytes that were written to it.
type tail struct{ bytes []byte }

func (t *tail) Write(p []byte) (int, error) {
	t.bytes = append(t.bytes, p...)
	if excess := len(t.bytes) - keptBytes; excess > 0 {
		t.bytes = t.bytes[excess:]
	}
	return len(p), nil
}

// cut forgets all but the last bytes.
func (t *tail) cut(last int) { t.bytes = t.bytes[max(0, len(t.bytes)-last):] }

// Describe names the requests of a record.
func (r Record) Describe() string {
	var lines []string
	for _, request := range r.Requests {
		lines = append(lines, fmt.Sprintf("%s with the body %.60q", request.Line(), request.Body))
	}
	for _, request := range r.Broken {
		lines = append(lines, request.Line()+", broken off")
	}
	return strings.Join(append(lines, r.Faults...), "; ")
}

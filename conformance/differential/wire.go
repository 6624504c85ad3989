package differential

import (
	"fmt"
	"strings"
)

// bytes is what the request sends first, with its identity filled in.
func (r *Request) bytes(id string) string {
	switch {
	case r.Raw != "":
		return withIdentity(crlf(r.Raw), id)
	case r.Bytes != "":
		return withIdentity(r.Bytes, id)
	case r.Send != "":
		return r.rendered(id)
	}
	return ""
}

// rendered writes a Send out as an HTTP/1.1 request.
func (r *Request) rendered(id string) string {
	var text strings.Builder
	fmt.Fprintf(&text, "%s HTTP/1.1\r\nhost: %s\r\nx-echo-id: %s\r\n", r.Send, r.Host, id)
	if r.WebSocket != nil {
		text.WriteString(webSocketHead)
	}
	for _, line := range r.Headers {
		text.WriteString(line + "\r\n")
	}
	switch {
	case r.Chunks != nil:
		text.WriteString("transfer-encoding: chunked\r\n\r\n")
		for _, chunk := range r.Chunks {
			fmt.Fprintf(&text, "%x\r\n%s\r\n", len(chunk), chunk)
		}
		text.WriteString("0\r\n")
		for _, line := range r.Trailers {
			text.WriteString(line + "\r\n")
		}
		text.WriteString("\r\n")
	case r.body() != "":
		text.WriteString(contentLength(r.body()) + "\r\n\r\n" + r.body())
	default:
		text.WriteString("\r\n")
	}
	return text.String()
}

// body is the body of a Send that is not chunked.
func (r *Request) body() string {
	if r.BodySize > 0 {
		return strings.Repeat("b", r.BodySize)
	}
	return r.Body
}

func contentLength(body string) string { return fmt.Sprintf("content-length: %d", len(body)) }

// method is what the response's framing depends on.
func (r *Request) method() string {
	text := r.Send + r.Raw + r.Bytes
	method, _, _ := strings.Cut(text, " ")
	return method
}

func withIdentity(text, id string) string { return strings.ReplaceAll(text, "{id}", id) }

// crlf turns bare line feeds into CR LF.
func crlf(text string) string {
	return strings.ReplaceAll(strings.ReplaceAll(text, "\r\n", "\n"), "\n", "\r\n")
}

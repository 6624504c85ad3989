package load

import (
	"time"

	"selvedge.dev/conformance/bench/h2"
)

func newLane(job Job) lane {
	if job.Streams == 0 {
		return &http1Lane{request: request(job.Path, "")}
	}
	return &http2Lane{client: h2.New(job.target().Request()), due: map[uint32]time.Duration{}}
}

// target of a job over HTTP/2: the backend answers with 1 KB.
func (j Job) target() Target { return Target{Port: j.Port, Path: j.Path, HTTP2: true, Body: 1 << 10} }

// http1Lane has one request at a time.
type http1Lane struct {
	request  []byte
	pending  []byte
	due      time.Duration
	received []byte
}

func (l *http1Lane) ask(due time.Duration) error {
	l.pending, l.due = l.request, due
	return nil
}

func (l *http1Lane) output() []byte {
	output := l.pending
	l.pending = nil
	return output
}

func (l *http1Lane) receive(data []byte, done func(time.Duration)) error {
	if len(l.received) > 0 {
		l.received = append(l.received, data...)
		data = l.received
	}
	end, err := responseEnd(data)
	if err != nil {
		return err
	}
	if end == 0 {
		l.received = append(l.received[:0], data...)
		return nil
	}
	l.received = l.received[:0]
	done(l.due)
	return nil
}

// http2Lane has as many requests as streams.
type http2Lane struct {
	client *h2.Client
	due    map[uint32]time.Duration
}

func (l *http2Lane) ask(due time.Duration) error {
	stream, err := l.client.Ask()
	l.due[stream] = due
	return err
}

func (l *http2Lane) output() []byte { return l.client.Output() }

func (l *http2Lane) receive(data []byte, done func(time.Duration)) error {
	return l.client.Receive(data, func(stream uint32) {
		done(l.due[stream])
		delete(l.due, stream)
	})
}

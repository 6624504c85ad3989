package hostile

import (
	"fmt"
	"slices"
	"strings"

	"selvedge.dev/conformance/gateways"
	"selvedge.dev/conformance/hostile/corpus"
	"selvedge.dev/conformance/hostile/recorder"
)

// caseTarget is the target whose answer a case decides.
const caseTarget = "/case"

// responseExchange lets the backend give the answer of a case.
func responseExchange(gateway *gateways.Running, backend *recorder.Recorder, c *corpus.Response, how delivery) (*outcome, error) {
	backend.Script(caseTarget, recorder.Answer{Bytes: corpus.Bytes(c.Answer), Close: c.Close})
	bytes := c.Bytes()
	method, _, _ := strings.Cut(bytes, " ")
	return exchange(gateway.HTTP, backend, message{bytes, []string{method}}, how)
}

// http2ResponseExchange does the same with a backend that speaks HTTP/2.
func http2ResponseExchange(s *Subject, c *corpus.HTTP2Response, how delivery) (*outcome, error) {
	s.HTTP2.Script(caseTarget, c)
	defer s.HTTP2.Script(caseTarget, nil)
	method := c.Method
	if method == "" {
		method = "GET"
	}
	bytes := fmt.Sprintf("%s %s HTTP/1.1\r\nHost: %s\r\n\r\n", method, caseTarget, gateways.HTTP2Host)
	o, err := exchange(s.Gateway.HTTP, s.Backend, message{bytes, []string{method}}, how)
	if err != nil {
		return nil, err
	}
	// The backend's connection must be good for others, or be given up.
	if err := barrier(s.Gateway.HTTP, gateways.HTTP2Host); err != nil {
		o.faults = append(o.faults, err.Error())
	}
	return o, nil
}

// answerFate is what became of a backend's answer: one that the client gets whole, and not as the
// gateway's own error, was forwarded, and so was what nobody can be sure about.
func (o *outcome) answerFate() corpus.Expectation {
	if o.garbled || len(o.finals) > 0 && o.finals[0].Complete && o.finals[0].Status < 500 {
		return corpus.Forwarded
	}
	return corpus.Refused
}

// answerJudgement are what is wrong with what a gateway made of a backend's answer.
func answerJudgement(c *corpus.Response, o *outcome) []string {
	found := slices.Concat(o.faults, o.record.Faults)
	fate := o.answerFate()
	if c.Expect != corpus.Either && fate != c.Expect {
		return append(found, fmt.Sprintf("was %s: %s", fate, o.describe()))
	}
	after := c.After
	if fate == corpus.Forwarded {
		response := o.finals[0]
		if c.Status != 0 && response.Status != c.Status || response.Body != corpus.Bytes(c.Body) {
			found = append(found, fmt.Sprintf("the client got %d %.100q", response.Status, response.Body))
		}
		if after == "" {
			after = corpus.Answered
		}
	}
	if len(o.finals) > 1 && o.finals[1].Status < 400 {
		found = append(found, fmt.Sprintf("an answer too many: %d %.100q", o.finals[1].Status, o.finals[1].Body))
	}
	_, next := o.split()
	if !o.nextAnswered && !o.closed {
		found = append(found, "the connection neither goes on nor ends")
	}
	return append(found, o.afterComplaints(after, len(next))...)
}

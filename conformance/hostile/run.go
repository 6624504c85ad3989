// Package hostile sends what an attacker would send to Selvedge and to Envoy, and judges by what a
// recording backend saw and what the client got: nothing that Envoy refuses is forwarded, and nothing
// at all that two parsers may read in two ways.
package hostile

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"selvedge.dev/conformance/gateways"
	"selvedge.dev/conformance/hostile/corpus"
	"selvedge.dev/conformance/hostile/recorder"
)

// Options of a run.
type Options struct {
	// Only are parts of the names of cases ("folder/file: name"); nothing is all of them.
	Only []string
	// Verbose shows what became of every case.
	Verbose bool
}

// Counts of a run.
type Counts struct{ Passed, Failed, Skipped int }

// Runner runs cases through the gateways.
type Runner struct {
	Options
	Counts
	Out io.Writer
	// Selvedge is judged. Envoy shows what it refuses; it may be missing.
	Selvedge, Envoy *Subject
}

// Subject is a gateway with its backends.
type Subject struct {
	*gateways.Running
	Backend *recorder.Recorder
	// HTTP2 is the backend of HTTP2Host, which does not record.
	HTTP2 *recorder.HTTP2
}

// trial is one case, however it is sent.
type trial struct {
	name       string
	judged     *corpus.Judged
	deliveries []delivery
	send       func(*Subject, delivery) (*outcome, error)
	fate       func(*outcome) corpus.Expectation
	complaints func(*outcome) []string
}

// Run runs all cases and prints what failed.
func (r *Runner) Run() error {
	trials, err := r.trials()
	if err != nil {
		return err
	}
	for _, trial := range trials {
		if !r.chosen(trial.name) {
			continue
		}
		if err := r.try(trial); err != nil {
			return fmt.Errorf("%s: %w", trial.name, err)
		}
	}
	return r.floods()
}

func (r *Runner) trials() ([]*trial, error) {
	requests, err := corpus.Requests()
	if err != nil {
		return nil, err
	}
	responses, err := corpus.Responses()
	if err != nil {
		return nil, err
	}
	http2, err := corpus.HTTP2Requests()
	if err != nil {
		return nil, err
	}
	http2Responses, err := corpus.HTTP2Responses()
	if err != nil {
		return nil, err
	}
	var trials []*trial
	for _, c := range requests {
		trials = append(trials, requestTrial(c))
	}
	for _, c := range responses {
		trials = append(trials, responseTrial(c))
	}
	for _, c := range http2 {
		trials = append(trials, http2Trial(c))
	}
	for _, c := range http2Responses {
		trials = append(trials, http2ResponseTrial(c))
	}
	return trials, nil
}

func requestTrial(c *corpus.Request) *trial {
	deliveries := []delivery{atOnce, inPieces, alone}
	if c.Ends {
		deliveries = []delivery{ending}
	}
	return &trial{
		name: "requests/" + c.Group + ": " + c.Name, judged: &c.Judged, deliveries: deliveries,
		send:       func(s *Subject, how delivery) (*outcome, error) { return s.request(c, how) },
		fate:       (*outcome).fate,
		complaints: func(o *outcome) []string { return complaints(&c.Judged, o) },
	}
}

func responseTrial(c *corpus.Response) *trial {
	return &trial{
		name: "responses/" + c.Group + ": " + c.Name, judged: &c.Judged, deliveries: []delivery{atOnce, alone},
		send: func(s *Subject, how delivery) (*outcome, error) {
			return responseExchange(s.Running, s.Backend, c, how)
		},
		fate:       (*outcome).answerFate,
		complaints: func(o *outcome) []string { return answerJudgement(c, o) },
	}
}

func http2Trial(c *corpus.HTTP2) *trial {
	return &trial{
		name: "http2/" + c.Group + ": " + c.Name, judged: &c.Judged, deliveries: []delivery{atOnce, alone},
		send:       func(s *Subject, how delivery) (*outcome, error) { return http2Exchange(s, c, how) },
		fate:       (*outcome).fate,
		complaints: func(o *outcome) []string { return http2Complaints(c, o) },
	}
}

func http2ResponseTrial(c *corpus.HTTP2Response) *trial {
	// To the client of HTTP/1 it is an answer like any other.
	answer := &corpus.Response{Judged: c.Judged, Status: c.Status, Body: c.Body}
	return &trial{
		name: "http2-responses/" + c.Group + ": " + c.Name, judged: &c.Judged, deliveries: []delivery{atOnce, alone},
		send:       func(s *Subject, how delivery) (*outcome, error) { return http2ResponseExchange(s, c, how) },
		fate:       (*outcome).answerFate,
		complaints: func(o *outcome) []string { return answerJudgement(answer, o) },
	}
}

func (s *Subject) request(c *corpus.Request, how delivery) (*outcome, error) {
	if c.Early {
		s.Backend.Script(caseTarget, recorder.Answer{Bytes: "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nPOST /case", Early: true})
	}
	return exchange(s.Gateway.HTTP, s.Backend, message{c.Bytes(), methods(c)}, how)
}

// methods are those of the requests that must arrive, or that of the first.
func methods(c *corpus.Request) []string {
	var methods []string
	for _, reached := range c.Reaches {
		method, _, found := strings.Cut(reached.Request, " ")
		if !found {
			method = "POST"
		}
		methods = append(methods, method)
	}
	if len(methods) == 0 {
		method, _, _ := strings.Cut(strings.TrimSpace(c.Bytes()), " ")
		methods = append(methods, method)
	}
	return methods
}

// try sends one case to the gateways in all ways and counts it once.
func (r *Runner) try(t *trial) error {
	var wrong []string
	var envoy *outcome
	for _, how := range t.deliveries {
		o, err := t.send(r.Selvedge, how)
		if err != nil {
			return err
		}
		if r.Verbose {
			_, _ = fmt.Fprintf(r.Out, "%s (%s): selvedge: %s\n", t.name, how, o.describe())
		}
		for _, complaint := range t.complaints(o) {
			wrong = append(wrong, fmt.Sprintf("%s: %s", how, complaint))
		}
		if r.Envoy == nil {
			continue
		}
		// Envoy does the same however a message is sent, so once is enough.
		if envoy == nil {
			if envoy, err = t.send(r.Envoy, how); err != nil {
				return err
			}
			if r.Verbose {
				_, _ = fmt.Fprintf(r.Out, "%s (%s): envoy: %s\n", t.name, how, envoy.describe())
			}
			if expected := t.judged.ExpectEnvoy(); expected != corpus.Either && t.fate(envoy) != expected {
				wrong = append(wrong, fmt.Sprintf("the case is wrong about Envoy, where it was %s: %s", t.fate(envoy), envoy.describe()))
			}
		}
		if t.fate(envoy) == corpus.Refused && t.fate(o) == corpus.Forwarded {
			wrong = append(wrong, fmt.Sprintf("%s: was forwarded; Envoy refuses it: %s", how, envoy.describe()))
		}
	}
	r.count(fmt.Sprintf("%s (%s)", t.name, t.judged.Rule), wrong)
	return nil
}

func (r *Runner) count(name string, wrong []string) {
	if len(wrong) == 0 {
		r.Passed++
		return
	}
	r.Failed++
	_, _ = fmt.Fprintf(r.Out, "%s\n", name)
	for _, line := range wrong {
		_, _ = fmt.Fprintf(r.Out, "    %s\n", line)
	}
}

func (r *Runner) chosen(name string) bool {
	return len(r.Only) == 0 || slices.ContainsFunc(r.Only, func(part string) bool { return strings.Contains(name, part) })
}

package hostile

import (
	"fmt"
	"slices"
	"strings"

	"selvedge.dev/conformance/hostile/corpus"
	"selvedge.dev/conformance/hostile/strict"
)

// split divides what reached the backend into the requests of a message and the next request.
func (o *outcome) split() (own, next []*strict.Request) {
	for _, request := range o.record.Requests {
		if request.Target == nextTarget {
			next = append(next, request)
		} else {
			own = append(own, request)
		}
	}
	return own, next
}

// fate is what became of a message. What is not clear counts as forwarded: it was there.
func (o *outcome) fate() corpus.Expectation {
	if own, _ := o.split(); len(own) > 0 || len(o.record.Faults) > 0 {
		return corpus.Forwarded
	}
	return corpus.Refused
}

// complaints are what is wrong with what a gateway made of a request.
func complaints(c *corpus.Judged, o *outcome) []string {
	found := slices.Concat(o.faults, o.record.Faults)
	own, next := o.split()
	fate := o.fate()
	if c.Expect != corpus.Either && fate != c.Expect {
		return append(found, fmt.Sprintf("was %s: %s", fate, o.describe()))
	}
	after := c.After
	switch {
	case fate == corpus.Forwarded:
		found = append(found, arrivalComplaints(c.Reaches, own)...)
		found = append(found, o.answerComplaints(own)...)
	case !c.Early:
		found = append(found, o.refusalComplaints()...)
	}
	if after == "" {
		after = map[corpus.Expectation]corpus.After{corpus.Refused: corpus.Closed, corpus.Forwarded: corpus.Answered}[fate]
	}
	return append(found, o.afterComplaints(after, len(next))...)
}

// refusalComplaints: whoever is refused is told so, or nothing.
func (o *outcome) refusalComplaints() []string {
	for _, response := range o.finals {
		if response.Status < 400 {
			return []string{fmt.Sprintf("was not forwarded, and still answered with %d", response.Status)}
		}
	}
	return nil
}

// arrivalComplaints compares what must reach the backend with what did.
func arrivalComplaints(expected []corpus.Reached, own []*strict.Request) []string {
	if len(expected) == 0 {
		expected = []corpus.Reached{{}}
	}
	var found []string
	for i, want := range expected {
		if i >= len(own) {
			return append(found, fmt.Sprintf("%d requests reached the backend, not %d", len(own), len(expected)))
		}
		found = append(found, differences(&want, own[i])...)
	}
	for _, request := range own[len(expected):] {
		found = append(found, "reached the backend, too: "+request.Line())
	}
	return found
}

func differences(want *corpus.Reached, request *strict.Request) []string {
	var found []string
	line := want.Request
	if line == "" {
		line = "POST /case"
	}
	if line = corpus.Bytes(line); line != request.Line() {
		found = append(found, fmt.Sprintf("the backend saw %.100q instead of %.100q", request.Line(), line))
	}
	if body := corpus.Bytes(want.Body); body != request.Body {
		found = append(found, fmt.Sprintf("the backend saw the body %.100q instead of %.100q", request.Body, body))
	}
	for name, value := range want.Holds {
		if values := request.Fields.Values(name); len(values) != 1 || values[0] != corpus.Bytes(value) {
			found = append(found, fmt.Sprintf("the backend saw %s: %q instead of %q", name, values, value))
		}
	}
	for _, name := range want.Lacks {
		if values := request.Fields.Values(name); len(values) > 0 {
			found = append(found, fmt.Sprintf("the backend saw %s: %q", name, values))
		}
	}
	return found
}

// answerComplaints: every request gets its own answer, unless its stream was reset.
func (o *outcome) answerComplaints(own []*strict.Request) []string {
	var found []string
	for i, request := range own {
		if i >= len(o.finals) && o.reset {
			return found
		}
		if i >= len(o.finals) {
			return append(found, request.Line()+" was not answered")
		}
		response := o.finals[i]
		if response.Status == 200 && request.Method != "HEAD" && response.Body != request.Line() {
			found = append(found, fmt.Sprintf("%s got the answer %.100q", request.Line(), response.Body))
		}
	}
	for _, response := range o.finals[min(len(own), len(o.finals)):] {
		if response.Status < 400 {
			found = append(found, fmt.Sprintf("an answer too many: %d %.100q", response.Status, response.Body))
		}
	}
	return found
}

// afterComplaints judges the client's connection after a message.
func (o *outcome) afterComplaints(after corpus.After, next int) []string {
	switch {
	case o.nextAnswered && next != 1:
		return []string{fmt.Sprintf("the next request was answered, and reached the backend %d times", next)}
	case after == corpus.Closed && (!o.closed || next > 0):
		return []string{"the connection goes on: " + o.describe()}
	case after == corpus.Answered && !o.nextAnswered:
		return []string{"the next request was not answered: " + o.describe()}
	}
	return nil
}

// describe says what happened, for a reader.
func (o *outcome) describe() string {
	var parts []string
	for _, response := range o.finals {
		parts = append(parts, fmt.Sprintf("%d %.60q", response.Status, response.Body))
	}
	if o.nextAnswered {
		parts = append(parts, "the next request answered")
	}
	if o.reset {
		parts = append(parts, "reset")
	}
	if o.closed {
		parts = append(parts, "closed")
	}
	if reached := o.record.Describe(); reached != "" {
		parts = append(parts, "reached: "+reached)
	}
	return strings.Join(parts, ", ")
}

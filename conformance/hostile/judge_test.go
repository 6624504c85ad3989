package hostile

import (
	"testing"

	"github.com/stretchr/testify/require"

	"selvedge.dev/conformance/hostile/corpus"
	"selvedge.dev/conformance/hostile/recorder"
	"selvedge.dev/conformance/hostile/strict"
)

func reached(lines ...string) recorder.Record {
	var record recorder.Record
	for _, line := range lines {
		record.Requests = append(record.Requests, &strict.Request{Method: "GET", Target: line, Complete: true})
	}
	return record
}

func answered(status int, body string) *strict.Response {
	return &strict.Response{Status: status, Body: body, Complete: true}
}

func TestWhatPasses(t *testing.T) {
	expect := []corpus.Reached{{Request: "GET /case"}}
	for name, one := range map[string]struct {
		judged  corpus.Judged
		outcome outcome
	}{
		"refused":   {corpus.Judged{Expect: corpus.Refused}, outcome{finals: []*strict.Response{answered(400, "")}, closed: true}},
		"closed":    {corpus.Judged{Expect: corpus.Refused}, outcome{closed: true}},
		"forwarded": {corpus.Judged{Expect: corpus.Forwarded, Reaches: expect}, outcome{finals: []*strict.Response{answered(200, "GET /case")}, nextAnswered: true, record: reached("/case", "/next")}},
	} {
		require.Empty(t, complaints(&one.judged, &one.outcome), name)
	}
}

func TestWhatFails(t *testing.T) {
	expect := []corpus.Reached{{Request: "GET /case"}}
	own := []*strict.Response{answered(200, "GET /case")}
	refused := corpus.Judged{Expect: corpus.Refused}
	forwarded := corpus.Judged{Expect: corpus.Forwarded, Reaches: expect}
	for name, one := range map[string]struct {
		judged  corpus.Judged
		outcome outcome
	}{
		"forwarded, not refused":           {refused, outcome{finals: own, nextAnswered: true, record: reached("/case", "/next")}},
		"refused, and the next one served": {refused, outcome{finals: []*strict.Response{answered(400, "")}, nextAnswered: true, record: reached("/next")}},
		"refused, and answered with 200":   {refused, outcome{finals: []*strict.Response{answered(200, "")}, closed: true}},
		"refused, and open":                {refused, outcome{finals: []*strict.Response{answered(400, "")}}},
		"refused, not forwarded":           {forwarded, outcome{finals: []*strict.Response{answered(400, "")}, closed: true}},
		"a second request":                 {forwarded, outcome{finals: own, nextAnswered: true, record: reached("/case", "/smuggled", "/next")}},
		"another's answer":                 {forwarded, outcome{finals: []*strict.Response{answered(200, "GET /other")}, nextAnswered: true, record: reached("/case", "/next")}},
		"an answer too many":               {forwarded, outcome{finals: append(own, answered(200, "")), nextAnswered: true, record: reached("/case", "/next")}},
		"the next one not served":          {forwarded, outcome{finals: own, closed: true, record: reached("/case")}},
		"the next one from nowhere":        {forwarded, outcome{finals: own, nextAnswered: true, record: reached("/case")}},
		"unclear at the backend":           {forwarded, outcome{finals: own, nextAnswered: true, record: recorder.Record{Requests: reached("/case", "/next").Requests, Faults: []string{"x"}}}},
	} {
		require.NotEmpty(t, complaints(&one.judged, &one.outcome), name)
	}
}

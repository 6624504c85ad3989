package load

import (
	"strings"
	"testing"
)

const h2loadReport = `Application protocol: h2c
finished in 2.00s, 100.00 req/s, 10.00KB/s
requests: 200 total, 210 started, 200 done, 200 succeeded, 0 failed, 0 errored, 0 timeout
status codes: 200 2xx, 0 3xx, 0 4xx, 0 5xx
traffic: 43.16MB (45252028) total, 654.41KB (670120) headers (space savings 94.74%), 20.51KB (21000) data
`

func TestParseH2load(t *testing.T) {
	result, err := ParseH2load(h2loadReport, 105, 16)
	if err != nil || result.Units != 200 || result.Seconds != 2 || result.Errors != 0 {
		t.Errorf("got %+v, %v", result, err)
	}
	for what, report := range map[string]string{
		"bodies are missing": strings.Replace(h2loadReport, "(21000) data", "(20900) data", 1),
		"bodies are larger":  strings.Replace(h2loadReport, "(21000) data", "(99000) data", 1),
		"requests fail":      strings.Replace(h2loadReport, "200 succeeded, 0 failed", "190 succeeded, 10 failed", 1),
		"requests hang":      strings.Replace(h2loadReport, "0 timeout", "3 timeout", 1),
	} {
		if result, err := ParseH2load(report, 105, 16); err != nil || result.Errors == 0 {
			t.Errorf("%s: got %+v, %v", what, result, err)
		}
	}
	if _, err := ParseH2load("could not resolve", 105, 16); err == nil {
		t.Error("no report passes")
	}
}

package report

import (
	"strings"
	"testing"
	"time"

	"selvedge.dev/conformance/bench/measure"
	"selvedge.dev/conformance/bench/peer"
)

func TestErrorsFailTheRow(t *testing.T) {
	ours := &peer.Peer{Name: "selvedge", Title: "Selvedge"}
	good := &peer.Peer{Name: "nginx", Title: "nginx"}
	bad := &peer.Peer{Name: "envoy", Title: "Envoy"}
	row := &measure.Row{Name: "row", Title: "Row", Unit: measure.Unit{Cost: "us", Factor: 1, Rate: "requests/s"}, Goal: "<= 1"}
	r := &Report{
		Date:  time.Unix(0, 0),
		Peers: []*peer.Peer{ours, good, bad},
		Rows: []measure.Result{{Work: measure.Work{Row: row, Layout: measure.OneCore}, Peers: []measure.PeerResult{
			{Peer: ours, Samples: []measure.Sample{{Cost: 5, Rate: 100}, {Cost: 7, Rate: 100}, {Cost: 6, Rate: 100}}},
			{Peer: good, Samples: []measure.Sample{{Cost: 12, Rate: 100}}},
			{Peer: bad, Samples: []measure.Sample{{Cost: 1, Rate: 100}, {Errors: 3, FirstError: "a|b"}}},
		}}},
	}
	text := r.Markdown()
	for _, line := range []string{
		"| Row, one core | 6.00 us | 0.50 |  | &lt;= 1 |",
		"| nginx | 12.0 | 12.0-12.0 | 0.50 | 100 | 0 |",
		`| Envoy | failed | | | | 3: a\|b | | |`,
	} {
		if !strings.Contains(text, line) {
			t.Errorf("no line %q in\n%s", line, text)
		}
	}
	if failures := r.Failures(); len(failures) != 1 || !strings.Contains(failures[0], "envoy") {
		t.Errorf("failures: %v", failures)
	}
}

package report

import (
	"strings"
	"testing"
	"time"

	"selvedge.dev/conformance/bench/gate"
	"selvedge.dev/conformance/bench/machine"
	"selvedge.dev/conformance/bench/measure"
	"selvedge.dev/conformance/bench/memory"
	"selvedge.dev/conformance/bench/peer"
	"selvedge.dev/conformance/bench/scale"
)

// withRows is a report on rows in which each peer has one sample.
func withRows(t *testing.T, samples map[string]map[string]measure.Sample) *Report {
	t.Helper()
	r := &Report{Peers: peer.All()}
	for name, byPeer := range samples {
		selected, err := measure.Select([]string{name})
		if err != nil {
			t.Fatal(err)
		}
		result := measure.Result{Work: selected[0]}
		for _, p := range r.Peers {
			if sample, found := byPeer[p.Name]; found {
				result.Peers = append(result.Peers, measure.PeerResult{Peer: p, Samples: []measure.Sample{sample}})
			}
		}
		r.Rows = append(r.Rows, result)
	}
	return r
}

func TestGates(t *testing.T) {
	r := withRows(t, map[string]map[string]measure.Sample{
		"h1-1k-64@one":      {"selvedge": {Cost: 1}, "selvedge-istio": {Cost: 8}, "nginx": {Cost: 10}, "nginx-edits": {Cost: 16}, "envoy-istio": {Cost: 32}},
		"h2-h1@one":         {"selvedge-istio": {Cost: 8}, "haproxy": {Cost: 1, Errors: 1}},
		"bulk-up@one":       {"selvedge": {Cost: 6}, "envoy": {Cost: 12}, "haproxy": {Cost: 10}, "nginx": {Cost: 11}},
		"latency-h1-70@two": {"selvedge-istio": {P99: 300}, "envoy": {P99: 900}, "nginx": {P99: 200}},
	})
	r.Counts = []gate.Result{{Name: "h1-h1", UnderLoad: 9000, Counts: gate.Counts{SystemCalls: 4.1}}}
	r.Memory = []memory.Result{{
		Peer: r.Peers[1], Idle: []memory.Idle{{Each: 1.2}, {Each: 12.3}}, Slow: []machine.Memory{{RSS: 10000}, {RSS: 70000}, {RSS: 20000}},
	}}
	r.Scale = &scale.Result{Subjects: []scale.Measured{
		{Title: scale.SelvedgeOverADS, Figures: scale.Figures{ChangeCPU: 10 * time.Millisecond}},
		{Title: scale.EnvoyOverADS, Figures: scale.Figures{ChangeCPU: 200 * time.Millisecond}},
	}}
	text := r.gates()
	for _, line := range []string{
		"| HTTP/1, 1 KB, 64 connections, beside nginx | 0.85x | 0.78x | 0.80x | met |",
		"| the same, beside nginx with equal header edits | 0.75x | 0.7x | 0.50x | met, stretch too |",
		"| the same, beside Envoy with the real istiod's filters | 0.2x |  | 0.25x | **missed** |",
		"| HTTP/2 to HTTP/1, beside HAProxy 2.6 | 1x | 0.9x |  | not measured |",
		"| bulk TCP to the backend, beside the best peer | 0.7x | 0.5x | 0.60x | met |",
		"| bulk TCP from the backend, beside the best peer | 0.7x | 0.5x |  | not measured |",
		"| user instructions, HTTP/1, 64 connections | 8000 | 6000 | 9000 | **missed** |",
		"| allocations, HTTP/1 | 0 |  | 0.00 | met |",
		"| allocations, gRPC | 16 |  |  | not measured |",
		"| p99 at 70 % load, HTTP/1, beside the best peer | 1x |  | 1.50x | **missed** |",
		"| memory of an idle HTTP/1 connection | 1.5 KiB | 0.7 KiB | 1.20 KiB | met |",
		"| memory of an idle connection of HTTP/1 over TLS | 12 KiB | 8 KiB | 12.3 KiB | **missed** |",
		"| one changed route of many, CPU beside Envoy over delta ADS | 0.1x |  | 0.05x | met |",
		"| 8 slow readers of 100 MB, RSS, the worst kind | 64 MB |  | 71.7 MB | **missed** |",
	} {
		if !strings.Contains(text, line+"\n") {
			t.Errorf("no line %q in\n%s", line, text)
		}
	}
}

func TestEveryGateHasItsRow(t *testing.T) {
	// Each compares rows that exist; a name that was mistyped would be "not measured" for ever.
	samples := map[string]map[string]measure.Sample{}
	for _, row := range measure.Rows {
		for _, layout := range row.Layouts {
			byPeer := map[string]measure.Sample{}
			for _, p := range peer.All() {
				byPeer[p.Name] = measure.Sample{Cost: 1, P99: 1}
			}
			samples[row.Name+"@"+layout.Name] = byPeer
		}
	}
	r := withRows(t, samples)
	for _, p := range []string{"h1-h1", "h2-h1", "grpc"} {
		r.Counts = append(r.Counts, gate.Result{Name: p})
	}
	for _, p := range promises {
		_, measured := p.seen(r)
		separate := strings.Contains(p.title, "memory") || strings.Contains(p.title, "readers") || strings.Contains(p.title, "changed route")
		if !measured && !separate {
			t.Errorf("%s is not measured", p.title)
		}
	}
}

func TestLatencyTable(t *testing.T) {
	r := withRows(t, map[string]map[string]measure.Sample{"latency-h1-30@two": {
		"selvedge": {Median: 100, P99: 200, P999: 300, Rate: 990, Cost: 20}, "envoy": {Median: 5000, P99: 9000, P999: 9500, Rate: 500, Cost: 60}, "haproxy": {Errors: 2, FirstError: "reset"},
	}})
	r.Rows[0].Rate = 1000
	text := r.Markdown()
	for _, part := range []string{
		"| Selvedge | 100 | 200 | 300 | 200-200 | 20.0 | 990 | 0 |",
		"| Envoy, bare | 5000 | 9000 | 9500 | 9000-9000 | 60.0 | 500: does not keep up | 0 |",
		"| HAProxy | failed | | | | | | 2: reset | | |",
	} {
		if !strings.Contains(text, part) {
			t.Errorf("no %q in\n%s", part, text)
		}
	}
	if strings.Contains(text, "## Cost of") {
		t.Error("costs at a rate are among those of saturated peers")
	}
}

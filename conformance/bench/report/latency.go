package report

import (
	"fmt"
	"strings"

	"selvedge.dev/conformance/bench/measure"
)

// keptUp is the share of what is offered that a peer answers in time if it keeps up.
const keptUp = 0.98

// latency is the table of a row at a constant rate.
func latency(result measure.Result) string {
	var text strings.Builder
	fmt.Fprintf(&text, "## Time of a request: %s, %s\n\n`%s@%s`; %d requests/s through every peer; times in us from when a request was due.\n\n",
		result.Title, result.Layout.Title, result.Name, result.Layout.Name, result.Rate)
	text.WriteString("| peer | p50 | p99 | p99.9 | p99, range | us of CPU per request | requests/s | errors | core: proxy, load | backend |\n|---|---|---|---|---|---|---|---|---|---|\n")
	for _, p := range result.Peers {
		text.WriteString(latencyLine(p, result.Rate))
	}
	return text.String()
}

func latencyLine(p measure.PeerResult, offered int) string {
	errors, first := p.Errors()
	if errors > 0 {
		return fmt.Sprintf("| %s | failed | | | | | | %.0f: %s | | |\n", p.Peer.Title, errors, escape(brief(first)))
	}
	median := func(value func(measure.Sample) float64) float64 { return p.Median(value) }
	rate := median(func(s measure.Sample) float64 { return s.Rate })
	kept := figure(rate)
	if rate < keptUp*float64(offered) {
		kept += ": does not keep up"
	}
	cost, _, _ := p.Cost()
	least, most := p.Range(func(s measure.Sample) float64 { return s.P99 })
	return fmt.Sprintf("| %s | %s | %s | %s | %s-%s | %s | %s | 0 | %.2f, %.2f | %.2f |\n", p.Peer.Title,
		figure(median(func(s measure.Sample) float64 { return s.Median })), figure(median(func(s measure.Sample) float64 { return s.P99 })),
		figure(median(func(s measure.Sample) float64 { return s.P999 })), figure(least), figure(most), figure(cost), kept,
		median(func(s measure.Sample) float64 { return s.ProxyCore }), median(func(s measure.Sample) float64 { return s.LoadCore }),
		median(func(s measure.Sample) float64 { return s.Backend }))
}

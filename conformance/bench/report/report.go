// Package report writes what was measured as Markdown.
package report

import (
	"fmt"
	"strings"
	"time"

	"selvedge.dev/conformance/bench/measure"
	"selvedge.dev/conformance/bench/memory"
	"selvedge.dev/conformance/bench/peer"
	"selvedge.dev/conformance/bench/scale"
)

// Report is everything that one run of the benchmark found.
type Report struct {
	Date    time.Time
	Machine string
	Command string
	Rounds  int
	Timing  measure.Timing
	Peers   []*peer.Peer
	// Versions of the peers' programs by the peers' names.
	Versions map[string]string
	Rows     []measure.Result
	Memory   []memory.Result
	Scale    *scale.Result
}

// Markdown is the report as a document.
func (r *Report) Markdown() string {
	parts := []string{r.introduction(), r.summary()}
	for _, row := range r.Rows {
		if row.ConstantRate() {
			parts = append(parts, latency(row))
		} else {
			parts = append(parts, r.row(row))
		}
	}
	if len(r.Memory) > 0 {
		parts = append(parts, r.memory())
	}
	if r.Scale != nil {
		parts = append(parts, r.scale())
	}
	return strings.Join(parts, "\n")
}

func (r *Report) introduction() string {
	var text strings.Builder
	fmt.Fprintf(&text, `# Performance

Written by %s; do not edit. Absolute figures belong to this machine and this day: compare only
the ratios, and run the peers again beside your own build before you claim anything.

Measured on %s on %s.

## Peers

| peer | version | configuration |
|---|---|---|
`, "`"+r.Command+"`", r.Date.UTC().Format("2006-01-02"), r.Machine)
	for _, p := range r.Peers {
		fmt.Fprintf(&text, "| %s | %s | %s |\n", p.Title, r.Versions[p.Name], p.Configuration)
	}
	fmt.Fprintf(&text, `
## Method

One proxy at a time, with one worker. *One core*: proxy, backend and load generator share core 1. *Two cores*: the proxy has core 1,
backend and load generator share core 0. A fresh proxy for each run; %d rounds in which every peer runs once, each %s of load after
%s that are not counted. Cost is the CPU time of all threads and children of the proxy (the scheduler's nanoseconds), divided by what the load
generator completed. Shown are the median and the range of all runs; the median takes runs in which others used at most 0.3 core,
if there are two. Any error fails the row: refused or reset connections, timeouts, other statuses than 200, bodies cut short.
The load generators are wrk for requests on open connections and the benchmark's own for the rest; the backend is the benchmark's own
(one thread, epoll). "Core" is how busy the proxy's and the load generator's core were: where the latter is full, the rate is a lower bound.
Everything runs in one network namespace over loopback: bulk figures are the cost of copying, not of packets.

To repeat it, as root: `+"`cargo build --release`, `conformance/setup`, `conformance/bench/run` (`--only ROW,...` for some rows, `--rounds N`,\n`--seconds S`, `--quick`; `SELVEDGE_BINARY`"+` names another build). It needs the Debian packages haproxy, nginx, libnginx-mod-stream and wrk.
`, r.Rounds, r.Timing.Counted, r.Timing.WarmUp)
	return text.String()
}

// row is one table: a line for each peer.
func (r *Report) row(result measure.Result) string {
	var text strings.Builder
	ours, ownColumns := r.ours(result)
	fmt.Fprintf(&text, "## %s, %s\n\n`%s@%s`; cost in %s.", result.Title, result.Layout.Title, result.Name, result.Layout.Name, result.Unit.Cost)
	if result.Goal != "" {
		fmt.Fprintf(&text, " Goal: %s.", escape(result.Goal))
	}
	fmt.Fprintf(&text, "\n\n| peer | cost | range |%s %s | errors | core: proxy, load | backend |\n|---|---|---|%s---|---|---|---|\n",
		ownColumns, result.Unit.Rate, strings.Repeat("---|", len(ours)))
	for _, p := range result.Peers {
		text.WriteString(peerLine(p, ours))
	}
	return text.String()
}

// ours are the results of Selvedge, and the titles of the columns that compare others with them.
func (r *Report) ours(result measure.Result) (ours []measure.PeerResult, columns string) {
	for _, p := range result.Peers {
		if isOurs(p.Peer) {
			ours = append(ours, p)
			columns += fmt.Sprintf(" %s / this |", p.Peer.Title)
		}
	}
	return ours, columns
}

func isOurs(p *peer.Peer) bool { return strings.HasPrefix(p.Name, "selvedge") }

func peerLine(p measure.PeerResult, ours []measure.PeerResult) string {
	errors, first := p.Errors()
	if errors > 0 {
		return fmt.Sprintf("| %s | failed | |%s | %.0f: %s | | |\n", p.Peer.Title, strings.Repeat(" |", len(ours)), errors, escape(brief(first)))
	}
	cost, least, most := p.Cost()
	line := fmt.Sprintf("| %s | %s | %s-%s |", p.Peer.Title, figure(cost), figure(least), figure(most))
	for _, own := range ours {
		line += fmt.Sprintf(" %s |", ratio(own, p))
	}
	return line + fmt.Sprintf(" %s | 0 | %.2f, %.2f | %.2f |\n", figure(p.Median(func(s measure.Sample) float64 { return s.Rate })),
		p.Median(func(s measure.Sample) float64 { return s.ProxyCore }), p.Median(func(s measure.Sample) float64 { return s.LoadCore }),
		p.Median(func(s measure.Sample) float64 { return s.Backend }))
}

// ratio is how much one of ours costs as a multiple of a peer.
func ratio(own, other measure.PeerResult) string {
	if errors, _ := own.Errors(); errors > 0 || own.Peer == other.Peer {
		return ""
	}
	if errors, _ := other.Errors(); errors > 0 {
		return ""
	}
	mine, _, _ := own.Cost()
	theirs, _, _ := other.Cost()
	return fmt.Sprintf("%.2f", mine/theirs)
}

// figure writes three significant digits, or all that stand before the point.
func figure(value float64) string {
	switch {
	case value >= 100:
		return fmt.Sprintf("%.0f", value)
	case value >= 10:
		return fmt.Sprintf("%.1f", value)
	}
	return fmt.Sprintf("%.2f", value)
}

// brief makes one short line of a message.
func brief(text string) string {
	line := strings.Join(strings.Fields(text), " ")
	const most = 240
	if len(line) > most {
		return line[:most] + "..."
	}
	return line
}

// escape keeps text from ending a cell, and comparison signs from being tags.
func escape(text string) string {
	return strings.NewReplacer("|", `\|`, "<", "&lt;").Replace(text)
}

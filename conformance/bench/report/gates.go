package report

import (
	"fmt"
	"math"
	"strings"

	"selvedge.dev/conformance/bench/gate"
	"selvedge.dev/conformance/bench/measure"
	"selvedge.dev/conformance/bench/memory"
	"selvedge.dev/conformance/bench/peer"
	"selvedge.dev/conformance/bench/scale"
)

// promise is a figure that the project has promised to stay below.
type promise struct {
	title string
	// goal and stretch are the most that is allowed; a stretch of 0 is none.
	goal, stretch float64
	unit          string
	// seen finds the figure; false if it was not measured.
	seen func(*Report) (float64, bool)
}

// The names of peers. What is compared over HTTP is the one with Istio's filters and its access log.
const (
	oursOverHTTP = "selvedge-istio"
	oursOverTCP  = "selvedge"
	envoyName    = "envoy"
	haproxyName  = "haproxy"
)

var promises = []promise{
	{"HTTP/1, 1 KB, 64 connections, beside nginx", 0.85, 0.78, "x", costBeside("h1-1k-64", peer.NginxName)},
	{"the same, beside nginx with equal header edits", 0.75, 0.70, "x", costBeside("h1-1k-64", "nginx-edits")},
	{"the same, beside Envoy with the real istiod's filters", 0.2, 0, "x", costBeside("h1-1k-64", "envoy-istio")},
	{"HTTP/1, 1 KB, 512 connections, beside nginx", 0.75, 0.60, "x", costBeside("h1-1k-512", peer.NginxName)},
	{"HTTP/2 to HTTP/1, beside HAProxy 2.6", 1, 0.9, "x", costBeside("h2-h1", haproxyName)},
	{"gRPC, beside HAProxy 2.6", 1.25, 1, "x", costBeside("grpc", haproxyName)},
	{"gRPC, beside HAProxy 3.2 (newer)", 0.8, 0, "x", costBeside("grpc", "haproxy-newer")},
	{"HTTP/1 over TLS, beside nginx", 0.9, 0.75, "x", costBeside("tls-1k", peer.NginxName)},
	{"full EC handshake, beside Envoy", 0.75, 0, "x", costBeside("handshake", envoyName)},
	{"full EC handshake, beside HAProxy", 0.55, 0, "x", costBeside("handshake", haproxyName)},
	{"new HTTP connection, beside nginx", 0.95, 0, "x", costBeside("http-connection", peer.NginxName)},
	{"bulk TCP to the backend, beside the best peer", 0.7, 0.5, "x", costBesideBest("bulk-up")},
	{"bulk TCP from the backend, beside the best peer", 0.7, 0.5, "x", costBesideBest("bulk-down")},
	{"user instructions, HTTP/1, 64 connections", 8000, 6000, "", counted("h1-h1", func(r gate.Result) float64 { return r.UnderLoad })},
	{"system calls, HTTP/1", 4.2, 0, "", counted("h1-h1", func(r gate.Result) float64 { return r.SystemCalls })},
	{"allocations, HTTP/1", 0, 0, "", counted("h1-h1", func(r gate.Result) float64 { return r.Allocations })},
	{"allocations, HTTP/2 to HTTP/1", 10, 0, "", counted("h2-h1", func(r gate.Result) float64 { return r.Allocations })},
	{"allocations, gRPC", 16, 0, "", counted("grpc", func(r gate.Result) float64 { return r.Allocations })},
	{"p99 at 70 % load, HTTP/1, beside the best peer", 1, 0, "x", latencyBesideBest("latency-h1-70")},
	{"p99 at 70 % load, HTTP/2 to HTTP/1, beside the best peer", 1, 0, "x", latencyBesideBest("latency-h2-70")},
	{"memory of an idle HTTP/1 connection", 1.5, 0.7, " KiB", idle(0)},
	{"memory of an idle connection of HTTP/1 over TLS", 12, 8, " KiB", idle(1)},
	{"one changed route of many, CPU beside Envoy over delta ADS", 0.1, 0, "x", changedRoute},
	{"8 slow readers of 100 MB, RSS, the worst kind", 64, 0, " MB", slowReaders},
}

// gates is the table of what was promised.
func (r *Report) gates() string {
	var text strings.Builder
	text.WriteString(`## Gates

Costs are those of "Selvedge, Istio's" (TCP: "Selvedge") as a multiple of the peer's, one core; counts are those of "Selvedge" alone; times
are on two cores. The goal is the most that is allowed, the stretch what would be better still.

| gate | goal | stretch | seen | |
|---|---|---|---|---|
`)
	for _, p := range promises {
		text.WriteString(p.line(r))
	}
	return text.String()
}

func (p promise) line(r *Report) string {
	stretch := ""
	if p.stretch > 0 {
		stretch = fmt.Sprintf("%g%s", p.stretch, p.unit)
	}
	seen, verdict := "", "not measured"
	if value, measured := p.seen(r); measured {
		seen, verdict = figure(value)+p.unit, p.verdict(value)
	}
	return fmt.Sprintf("| %s | %g%s | %s | %s | %s |\n", p.title, p.goal, p.unit, stretch, seen, verdict)
}

// verdict judges by the figure as it is shown.
func (p promise) verdict(value float64) string {
	value = math.Round(value*100) / 100
	switch {
	case value > p.goal:
		return "**missed**"
	case p.stretch > 0 && value <= p.stretch:
		return "met, stretch too"
	}
	return "met"
}

// result finds a row in a layout, and a peer's part of it that has no errors.
func (r *Report) result(row string, layout *measure.Layout, name string) (measure.PeerResult, bool) {
	for _, result := range r.Rows {
		if result.Name != row || result.Layout != layout {
			continue
		}
		for _, p := range result.Peers {
			if errors, _ := p.Errors(); p.Peer.Name == name && errors == 0 {
				return p, true
			}
		}
	}
	return measure.PeerResult{}, false
}

func costBeside(row, other string) func(*Report) (float64, bool) {
	return func(r *Report) (float64, bool) {
		mine, measured := r.result(row, measure.OneCore, oursOverHTTP)
		theirs, too := r.result(row, measure.OneCore, other)
		if !measured || !too {
			return 0, false
		}
		return cost(mine) / cost(theirs), true
	}
}

func cost(p measure.PeerResult) float64 {
	median, _, _ := p.Cost()
	return median
}

// besideBest compares with the least of all that are not ours.
func besideBest(row string, layout *measure.Layout, own string, value func(measure.PeerResult) float64) func(*Report) (float64, bool) {
	return func(r *Report) (float64, bool) {
		mine, measured := r.result(row, layout, own)
		if !measured {
			return 0, false
		}
		best := math.Inf(1)
		for _, p := range r.Peers {
			if theirs, too := r.result(row, layout, p.Name); too && !isOurs(p) {
				best = min(best, value(theirs))
			}
		}
		return value(mine) / best, !math.IsInf(best, 1)
	}
}

func costBesideBest(row string) func(*Report) (float64, bool) {
	return besideBest(row, measure.OneCore, oursOverTCP, cost)
}

func latencyBesideBest(row string) func(*Report) (float64, bool) {
	return besideBest(row, measure.TwoCores, oursOverHTTP, func(p measure.PeerResult) float64 {
		return p.Median(func(s measure.Sample) float64 { return s.P99 })
	})
}

func idle(kind int) func(*Report) (float64, bool) {
	return func(r *Report) (float64, bool) {
		for _, result := range r.Memory {
			if result.Peer.Name == oursOverHTTP && kind < len(result.Idle) {
				return result.Idle[kind].Each, true
			}
		}
		return 0, false
	}
}

func slowReaders(r *Report) (most float64, measured bool) {
	for _, result := range r.Memory {
		if result.Peer.Name != oursOverHTTP || len(result.Slow) < len(memory.SlowKinds) {
			continue
		}
		for _, held := range result.Slow {
			most, measured = max(most, memory.Megabytes(held.RSS)), true
		}
	}
	return most, measured
}

func changedRoute(r *Report) (float64, bool) {
	if r.Scale == nil {
		return 0, false
	}
	find := func(title string) (float64, bool) {
		for _, subject := range r.Scale.Subjects {
			if subject.Title == title && subject.Error == nil {
				return subject.ChangeCPU.Seconds(), true
			}
		}
		return 0, false
	}
	mine, measured := find(scale.SelvedgeOverADS)
	theirs, too := find(scale.EnvoyOverADS)
	return mine / theirs, measured && too
}

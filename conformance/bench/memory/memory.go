// Package memory measures what the proxies hold: at start, for each idle connection, after thousands of
// them, and while slow readers read.
package memory

import (
	"fmt"
	"io"
	"time"

	"selvedge.dev/conformance/bench/load"
	"selvedge.dev/conformance/bench/machine"
	"selvedge.dev/conformance/bench/measure"
	"selvedge.dev/conformance/bench/peer"
)

// settle is how long a proxy is left alone before its memory is read.
const settle = 500 * time.Millisecond

// atOnce is how many connections send their request at a time.
const atOnce = 16

// Kind of connection.
type Kind struct {
	Title  string
	target func() load.Target
}

// Kinds in the order of the report.
var Kinds = []Kind{
	{"HTTP/1", func() load.Target { return load.Target{Port: peer.HTTP, Path: "/1k"} }},
	{"HTTP/1 over TLS", func() load.Target { return load.Target{Port: peer.HTTPS, Path: "/1k", TLS: load.TLSConfig()} }},
	{"HTTP/2", func() load.Target { return load.Target{Port: peer.HTTP2, Path: "/1k", HTTP2: true, Body: 1 << 10} }},
	{"HTTP/2 over TLS", func() load.Target {
		return load.Target{Port: peer.HTTPS, Path: "/1k", TLS: load.TLSConfig(), HTTP2: true, Body: 1 << 10}
	}},
}

// Result is one peer's.
type Result struct {
	Peer *peer.Peer
	// Connections that were open.
	Connections int
	// Start is what it holds right after its start.
	Start machine.Memory
	// Idle is for each kind.
	Idle []Idle
	// Slow is what it holds while slow readers read, for each of SlowKinds.
	Slow []machine.Memory
	// Error says why figures are missing.
	Error error
}

// Idle is what connections of a kind hold that have served one request.
type Idle struct {
	// Each is KiB for each connection while all are open.
	Each float64
	// After is what the proxy holds once all are closed.
	After machine.Memory
}

// Measure starts each peer for each kind and opens connections through it.
func Measure(peers []*peer.Peer, setup *peer.Setup, connections int, progress io.Writer) ([]Result, error) {
	backend, err := measure.StartBackend(setup, measure.TwoCores.Load)
	if err != nil {
		return nil, err
	}
	defer backend.Stop()
	var results []Result
	for _, p := range peers {
		result := Result{Peer: p, Connections: connections}
		result.Error = result.fill(setup)
		results = append(results, result)
		_, _ = fmt.Fprintf(progress, "memory           %-15s %s\n", p.Name, result.line())
	}
	return results, nil
}

func (r *Result) line() string {
	line := fmt.Sprintf("start %.1f MB RSS", Megabytes(r.Start.RSS))
	for i, idle := range r.Idle {
		line += fmt.Sprintf("; %s %.2f KiB each, %.1f MB RSS after", Kinds[i].Title, idle.Each, Megabytes(idle.After.RSS))
	}
	for i, memory := range r.Slow {
		line += fmt.Sprintf("; slow readers over %s %.1f MB RSS", SlowKinds[i].Title, Megabytes(memory.RSS))
	}
	if r.Error != nil {
		line += ": " + r.Error.Error()
	}
	return line
}

func (r *Result) fill(setup *peer.Setup) error {
	for _, kind := range Kinds {
		idle, err := r.idle(setup, kind.target())
		if err != nil {
			return fmt.Errorf("%s: %w", kind.Title, err)
		}
		r.Idle = append(r.Idle, idle)
	}
	for _, kind := range SlowKinds {
		memory, err := slowReaders(r.Peer, setup, kind.target())
		if err != nil {
			return fmt.Errorf("slow readers, %s: %w", kind.Title, err)
		}
		r.Slow = append(r.Slow, memory)
	}
	return nil
}

func (r *Result) idle(setup *peer.Setup, target load.Target) (idle Idle, err error) {
	proxy, err := r.Peer.Start(setup, measure.TwoCores.Proxy, 1)
	if err != nil {
		return idle, err
	}
	defer proxy.Stop()
	if r.Start, err = settled(proxy); err != nil {
		return idle, err
	}
	open, err := load.Open(r.Connections, target)
	if err != nil {
		return idle, err
	}
	defer open.Close()
	if err := open.Request(1, 1, atOnce); err != nil {
		return idle, err
	}
	full, err := settled(proxy)
	if err != nil {
		return idle, err
	}
	idle.Each = float64(full.PSS-r.Start.PSS) / float64(r.Connections)
	open.Close()
	idle.After, err = settled(proxy)
	return idle, err
}

// settled reads a proxy's memory once it has been left alone.
func settled(proxy *peer.Running) (machine.Memory, error) {
	time.Sleep(settle)
	memory, err := machine.ProcessMemory(proxy.PID())
	if err != nil {
		return memory, fmt.Errorf("%w\n%s", err, proxy.Tail())
	}
	return memory, nil
}

// Megabytes from KiB.
func Megabytes(kibibytes int64) float64 { return float64(kibibytes) * 1024 / 1e6 }

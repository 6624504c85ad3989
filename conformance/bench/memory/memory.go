// Package memory measures what the proxies hold: at start, and for each idle connection.
package memory

import (
	"crypto/tls"
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

// Result is one peer's.
type Result struct {
	Peer *peer.Peer
	// Connections that were open.
	Connections int
	// Start is what it holds right after its start.
	Start machine.Memory
	// HTTP and TLS are KB for each open connection that has served one request.
	HTTP, TLS float64
	// Error says why there are no figures.
	Error error
}

// Measure starts each peer twice and opens connections through it.
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
		_, _ = fmt.Fprintf(progress, "memory           %-15s start %.1f MB RSS, %.2f KB per HTTP connection, %.2f per TLS connection %v\n",
			p.Name, Megabytes(result.Start.RSS), result.HTTP, result.TLS, errorText(result.Error))
	}
	return results, nil
}

func (r *Result) fill(setup *peer.Setup) error {
	var err error
	if r.Start, r.HTTP, err = perConnection(r.Peer, setup, r.Connections, peer.HTTP, nil); err != nil {
		return err
	}
	_, r.TLS, err = perConnection(r.Peer, setup, r.Connections, peer.HTTPS, load.TLSConfig())
	return err
}

func perConnection(p *peer.Peer, setup *peer.Setup, connections, port int, config *tls.Config) (machine.Memory, float64, error) {
	proxy, err := p.Start(setup, measure.TwoCores.Proxy, 1)
	if err != nil {
		return machine.Memory{}, 0, err
	}
	defer proxy.Stop()
	time.Sleep(settle)
	before, err := machine.ProcessMemory(proxy.PID())
	if err != nil {
		return machine.Memory{}, 0, err
	}
	open, err := load.Open(connections, load.Target{Port: port, Path: "/1k", TLS: config})
	if err != nil {
		return before, 0, err
	}
	defer open.Close()
	if err := open.Request(1, 1, atOnce); err != nil {
		return before, 0, err
	}
	time.Sleep(settle)
	after, err := machine.ProcessMemory(proxy.PID())
	if err != nil {
		return before, 0, fmt.Errorf("%w\n%s", err, proxy.Tail())
	}
	return before, float64(after.PSS-before.PSS) / float64(connections), nil
}

// Megabytes from KiB.
func Megabytes(kibibytes int64) float64 { return float64(kibibytes) * 1024 / 1e6 }

func errorText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

package memory

import (
	"time"

	"selvedge.dev/conformance/bench/load"
	"selvedge.dev/conformance/bench/machine"
	"selvedge.dev/conformance/bench/measure"
	"selvedge.dev/conformance/bench/peer"
)

const (
	// readers read a body of 100 MB each, one chunk in each pause: so slowly that none of them comes to its
	// end, and every buffer on the way fills.
	readers   = 8
	slowChunk = 16 << 10
	slowPause = 20 * time.Millisecond
	slowTime  = 4 * time.Second
	slowBody  = 100_000_000
)

// SlowKinds are the connections over which slow readers read, in the order of the report.
var SlowKinds = []Kind{
	{"HTTP/1", func() load.Target { return load.Target{Port: peer.HTTP, Path: "/100m"} }},
	{"HTTP/1 over TLS", func() load.Target { return load.Target{Port: peer.HTTPS, Path: "/100m", TLS: load.TLSConfig()} }},
	{"HTTP/2", func() load.Target { return load.Target{Port: peer.HTTP2, Path: "/100m", HTTP2: true, Body: slowBody} }},
}

// slowReaders returns the most that a proxy holds meanwhile.
func slowReaders(p *peer.Peer, setup *peer.Setup, target load.Target) (most machine.Memory, err error) {
	proxy, err := p.Start(setup, measure.TwoCores.Proxy, 1)
	if err != nil {
		return most, err
	}
	defer proxy.Stop()
	open, err := load.OpenSlow(readers, slowChunk, slowPause, target)
	if err != nil {
		return most, err
	}
	defer open.Close()
	for end := time.Now().Add(slowTime); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		memory, err := machine.ProcessMemory(proxy.PID())
		if err != nil {
			return most, err
		}
		if memory.RSS > most.RSS {
			most = memory
		}
	}
	return most, open.Check()
}

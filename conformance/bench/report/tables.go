package report

import (
	"fmt"
	"strings"
	"time"

	"selvedge.dev/conformance/bench/memory"
	"selvedge.dev/conformance/bench/scale"
)

func (r *Report) memory() string {
	var text strings.Builder
	fmt.Fprintf(&text, `## Memory

At start: everything resident (RSS) and, with shared pages divided, PSS. For each idle connection: the growth of PSS over %d connections that have
served one 1 KB request, from a fresh start each time. Goals: RSS at start &lt;= 15 MB, an idle HTTP/1 connection &lt;= 1.5 KiB, over TLS &lt;= 12 KiB.

| peer | RSS at start, MB | PSS at start, MB | KiB per idle HTTP/1 connection | KiB per idle TLS connection |
|---|---|---|---|---|
`, r.Memory[0].Connections)
	for _, result := range r.Memory {
		if result.Error != nil {
			fmt.Fprintf(&text, "| %s | failed: %s | | | |\n", result.Peer.Title, escape(brief(result.Error.Error())))
			continue
		}
		fmt.Fprintf(&text, "| %s | %.1f | %.1f | %.2f | %.2f |\n", result.Peer.Title,
			memory.Megabytes(result.Start.RSS), memory.Megabytes(result.Start.PSS), result.HTTP, result.TLS)
	}
	return text.String()
}

func (r *Report) scale() string {
	var text strings.Builder
	fmt.Fprintf(&text, `## %d clusters and routes

Each service has one cluster with one endpoint and one virtual host in the one route table, in the form that the real istiod gave them; delta ADS
comes from a small server on the same machine. "Ready" is the first answer through the last route, counted from the start of the process. A change adds a
response header to one route: the time is until an answer shows it, the CPU time is everything until one second later, with
the requests that ask for it (one in 2 ms). The folder is looked at every half second, which is part of that time. Goals beside Envoy over delta ADS: ready in
&lt;= 0.5x the time, &lt;= 0.25x the memory.

| proxy | ready s | CPU s | PSS MB | RSS MB | one changed route: ms | CPU ms |
|---|---|---|---|---|---|---|
`, r.Scale.Size)
	for _, subject := range r.Scale.Subjects {
		text.WriteString(scaleLine(subject))
	}
	return text.String()
}

func scaleLine(s scale.Measured) string {
	if s.Error != nil {
		return fmt.Sprintf("| %s | failed: %s | | | | | |\n", s.Title, escape(brief(s.Error.Error())))
	}
	return fmt.Sprintf("| %s | %.2f | %.2f | %.1f | %.1f | %s | %s |\n", s.Title, s.Ready.Seconds(), s.CPU.Seconds(),
		memory.Megabytes(s.Memory.PSS), memory.Megabytes(s.Memory.RSS), milliseconds(s.ChangeTime), milliseconds(s.ChangeCPU))
}

func milliseconds(d time.Duration) string { return figure(float64(d.Microseconds()) / 1000) }

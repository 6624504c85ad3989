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
served one 1 KB request, from a fresh start each time; then what is resident once all of them are closed. Goals: RSS at start &lt;= 15 MB, an idle
HTTP/1 connection &lt;= 1.5 KiB, over TLS &lt;= 12 KiB.

| peer | RSS at start, MB | PSS at start, MB |`, r.Memory[0].Connections)
	for _, kind := range memory.Kinds {
		fmt.Fprintf(&text, " KiB per idle %s connection | RSS after, MB |", kind.Title)
	}
	fmt.Fprintf(&text, "\n|---|---|---|%s\n", strings.Repeat("---|---|", len(memory.Kinds)))
	for _, result := range r.Memory {
		text.WriteString(idleLine(result))
	}
	text.WriteString("\nSlow readers: 8 connections, each with an answer of 100 MB that is read at less than 1 MB/s: the most that is resident, in MB. Goal: &lt; 64 MB.\nnginx puts what it cannot send into a file (on tmpfs here), which is not counted.\n\n| peer |")
	for _, kind := range memory.SlowKinds {
		fmt.Fprintf(&text, " %s |", kind.Title)
	}
	fmt.Fprintf(&text, "\n|---|%s\n", strings.Repeat("---|", len(memory.SlowKinds)))
	for _, result := range r.Memory {
		fmt.Fprintf(&text, "| %s |", result.Peer.Title)
		for i := range memory.SlowKinds {
			if i < len(result.Slow) {
				fmt.Fprintf(&text, " %.1f |", memory.Megabytes(result.Slow[i].RSS))
			} else {
				text.WriteString(" |")
			}
		}
		text.WriteString("\n")
	}
	return text.String()
}

func idleLine(result memory.Result) string {
	line := fmt.Sprintf("| %s | %.1f | %.1f |", result.Peer.Title, memory.Megabytes(result.Start.RSS), memory.Megabytes(result.Start.PSS))
	for i := range memory.Kinds {
		if i < len(result.Idle) {
			line += fmt.Sprintf(" %.2f | %.1f |", result.Idle[i].Each, memory.Megabytes(result.Idle[i].After.RSS))
		} else {
			line += fmt.Sprintf(" failed: %s | |", escape(brief(fmt.Sprint(result.Error))))
		}
	}
	return line + "\n"
}

func (r *Report) scale() string {
	var text strings.Builder
	fmt.Fprintf(&text, `## %d clusters and routes

Each service has one cluster with one endpoint and one virtual host in the one route table, in the form that the real istiod gave them; delta ADS
comes from a small server on the same machine. "Ready" is the first answer through the last route, counted from the start of the process. A change adds a
response header to one route, or a cluster, its endpoint and its virtual host: the time is until an answer shows it, the CPU time is everything until one second later, with
the requests that ask for it (one in 2 ms). The folder is looked at every half second, which is part of that time. Goals beside Envoy over delta ADS: ready in
&lt;= 0.5x the time, &lt;= 0.25x the memory.

| proxy | ready s | CPU s | PSS MB | RSS MB | one changed route: ms | CPU ms | one cluster and route more: ms | CPU ms |
|---|---|---|---|---|---|---|---|---|
`, r.Scale.Size)
	for _, subject := range r.Scale.Subjects {
		text.WriteString(scaleLine(subject))
	}
	return text.String()
}

func scaleLine(s scale.Measured) string {
	if s.Error != nil {
		return fmt.Sprintf("| %s | failed: %s | | | | | | | |\n", s.Title, escape(brief(s.Error.Error())))
	}
	return fmt.Sprintf("| %s | %.2f | %.2f | %.1f | %.1f | %s | %s | %s | %s |\n", s.Title, s.Ready.Seconds(), s.CPU.Seconds(),
		memory.Megabytes(s.Memory.PSS), memory.Megabytes(s.Memory.RSS), milliseconds(s.ChangeTime), milliseconds(s.ChangeCPU),
		milliseconds(s.AddTime), milliseconds(s.AddCPU))
}

func milliseconds(d time.Duration) string { return figure(float64(d.Microseconds()) / 1000) }

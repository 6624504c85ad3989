package report

import (
	"fmt"
	"strings"

	"selvedge.dev/conformance/bench/gate"
)

func (r *Report) counts() string {
	var text strings.Builder
	text.WriteString(`## Counts of one request through Selvedge

What ` + "`conformance/bench/count`" + ` compares with its reference, here of the build that was measured, on the folder ` + "`conformance/bench/config`" + `. Instructions in
user space and allocations are those of one request at a time; instructions under load and system calls those of the worker with 64 connections, or
8 of 16 streams, at once.

| request | instructions | under load | allocations | system calls | with io_uring | most frequent with epoll |
|---|---|---|---|---|---|---|
`)
	for _, result := range r.Counts {
		fmt.Fprintf(&text, "| %s | %.0f | %.0f | %.1f | %.2f | %.2f | %s |\n", result.Title, result.Instructions, result.UnderLoad, result.Allocations, result.SystemCalls, result.RingSystemCalls, result.Calls)
	}
	for _, result := range r.Counts {
		fmt.Fprintf(&text, "\nWhere the instructions of one request go under load, %s:\n\n| function | its own instructions | share |\n|---|---|---|\n", result.Title)
		for _, function := range result.Functions {
			fmt.Fprintf(&text, "| `%s` | %.0f | %.0f %% |\n", strings.ReplaceAll(function.Name, "|", `\|`), function.Instructions, 100*function.Instructions/result.UnderLoad)
		}
	}
	return text.String()
}

// counted finds a count of one pair of protocols.
func counted(pair string, count func(gate.Result) float64) func(*Report) (float64, bool) {
	return func(r *Report) (float64, bool) {
		for _, result := range r.Counts {
			if result.Name == pair {
				return count(result), true
			}
		}
		return 0, false
	}
}

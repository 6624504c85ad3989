package gate

import (
	"bytes"
	"fmt"
	"os/exec"
	"sort"
	"strconv"
	"strings"
	"syscall"
	"time"

	"selvedge.dev/conformance/bench/load"
	"selvedge.dev/conformance/bench/machine"
	"selvedge.dev/conformance/bench/peer"
)

const (
	// Requests that warm up, and those that are counted, over all connections.
	warmUpAtOnce, countedAtOnce = 2560, 12800
	attachLimit                 = 10 * time.Second
)

// systemCalls of one request.
type systemCalls struct {
	total, epollControl float64
	// detail lists the most frequent ones.
	detail string
}

// countSystemCalls sends requests of each pair over many connections and streams at once, and counts with
// strace what those after the warm-up took.
func countSystemCalls(setup *peer.Setup, driver string, pairs []pair) (map[string]systemCalls, error) {
	process, err := startSelvedge(setup, driver)
	if err != nil {
		return nil, err
	}
	defer process.Stop()
	results := map[string]systemCalls{}
	for _, pair := range pairs {
		if results[pair.name], err = strace(process, pair); err != nil {
			return nil, fmt.Errorf("%s: %w\n%s", pair.name, err, process.Tail())
		}
	}
	return results, nil
}

func strace(process *machine.Process, pair pair) (systemCalls, error) {
	open, err := load.Open(pair.connections, pair.target)
	if err != nil {
		return systemCalls{}, err
	}
	defer open.Close()
	if err := open.Request(warmUpAtOnce/pair.connections, pair.streams, pair.connections); err != nil {
		return systemCalls{}, fmt.Errorf("warm-up: %w", err)
	}
	worker, err := workerThread(process.PID())
	if err != nil {
		return systemCalls{}, err
	}
	var table bytes.Buffer
	tracer := exec.Command("strace", "-c", "-p", strconv.Itoa(worker))
	tracer.Stderr = &table
	if err := tracer.Start(); err != nil {
		return systemCalls{}, err
	}
	if err := process.Await(attachLimit, 10*time.Millisecond, func() error { return traced(worker) }); err != nil {
		return systemCalls{}, err
	}
	loadErr := open.Request(countedAtOnce/pair.connections, pair.streams, pair.connections)
	if err := tracer.Process.Signal(syscall.SIGINT); err != nil {
		return systemCalls{}, err
	}
	// strace ends by the signal that it was sent.
	_ = tracer.Wait()
	if loadErr != nil {
		return systemCalls{}, fmt.Errorf("counted requests: %w", loadErr)
	}
	counts, err := parseTable(table.String())
	if err != nil {
		return systemCalls{}, err
	}
	return perRequest(counts, countedAtOnce), nil
}

// parseTable reads the table of "strace -c": per cent, seconds, microseconds per call, calls, [errors], name.
func parseTable(table string) (map[string]int64, error) {
	counts := map[string]int64{}
	for line := range strings.Lines(table) {
		fields := strings.Fields(line)
		if len(fields) < 5 || fields[len(fields)-1] == "total" {
			continue
		}
		if _, err := strconv.ParseFloat(fields[0], 64); err != nil {
			continue
		}
		count, err := strconv.ParseInt(fields[3], 10, 64)
		if err != nil {
			return nil, fmt.Errorf("strace wrote %q: %w", line, err)
		}
		counts[fields[len(fields)-1]] += count
	}
	if len(counts) == 0 {
		return nil, fmt.Errorf("strace counted nothing: %s", table)
	}
	return counts, nil
}

func perRequest(counts map[string]int64, requests float64) systemCalls {
	var names []string
	for name := range counts {
		names = append(names, name)
	}
	sort.Slice(names, func(i, j int) bool {
		if counts[names[i]] != counts[names[j]] {
			return counts[names[i]] > counts[names[j]]
		}
		return names[i] < names[j]
	})
	var parts []string
	for _, name := range names[:min(len(names), 6)] {
		parts = append(parts, fmt.Sprintf("%s %.2f", name, float64(counts[name])/requests))
	}
	return systemCalls{
		total:        float64(sum(counts)) / requests,
		epollControl: float64(counts["epoll_ctl"]) / requests,
		detail:       strings.Join(parts, ", "),
	}
}

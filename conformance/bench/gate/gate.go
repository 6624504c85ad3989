// Package gate counts what one request through Selvedge takes: instructions, allocations and system
// calls, for each pair of protocols. Counts repeat where times do not, so they can fail a build.
package gate

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"selvedge.dev/conformance/bench/load"
	"selvedge.dev/conformance/bench/machine"
	"selvedge.dev/conformance/bench/measure"
	"selvedge.dev/conformance/bench/peer"
	"selvedge.dev/conformance/cluster"
)

const (
	// mostAllocations is below what rounds to a hundredth: none but what grows now and then.
	mostAllocations = 0.005
	// mostSystemCalls leaves a fifth of one above two receives and two sends for waiting.
	mostSystemCalls = 4.2
	// mostRingSystemCalls is a quarter of what epoll takes. A turn of the worker is one call for all that is ready, so how
	// much it brings depends on the machine (0.2 to 0.4 were counted): the bound says that calls are shared at all.
	mostRingSystemCalls = 1.0
	// mostEpollControl says that no request registers anything.
	mostEpollControl = 0.01
	// The drivers of connections. What the gate compares with its reference is that of epoll, which every kernel has, and
	// valgrind knows.
	epoll, ioUring = "epoll", "io_uring"
	// valgrindStart bounds the start of the proxy under valgrind, which is some 50 times slower.
	valgrindStart = 60 * time.Second
)

// Result is what was counted for one pair.
type Result struct {
	Name, Title string
	Counts
	// EpollControl is how often a request changes what epoll watches, and Calls are the most frequent calls.
	EpollControl float64
	Calls        string
	// UnderLoad are the instructions of a request with all of the pair's connections at once.
	UnderLoad float64
	// RingSystemCalls are those with io_uring.
	RingSystemCalls float64
	// Path is where most allocations come from.
	Path string
	// Functions are those with the most instructions of their own under load.
	Functions []Function
}

// Run counts, prints, and returns an error if a count is over its limit or has grown beyond the
// reference, unless that is to be written anew.
func Run(update bool, out io.Writer) error {
	c, err := cluster.New(cluster.DefaultName)
	if err != nil {
		return err
	}
	setup, err := newSetup(c)
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(setup.Directory) }()
	results, err := Count(setup)
	if err != nil {
		return err
	}
	_, _ = fmt.Fprintf(out, "One request through Selvedge, built as %s:\n", setup.Selvedge)
	for _, r := range results {
		_, _ = fmt.Fprintf(out, "  %-36s %8.0f instructions (%.0f under load)  %6.2f allocations  %6.2f system calls (%.2f with io_uring): %s\n", r.Title, r.Instructions, r.UnderLoad, r.Allocations, r.SystemCalls, r.RingSystemCalls, r.Calls)
	}
	file := filepath.Join(setup.Bench, "reference.json")
	if update {
		counts := map[string]Counts{}
		for _, r := range results {
			counts[r.Name] = r.Counts
		}
		return writeReference(file, counts)
	}
	reference, err := readReference(file)
	if err != nil {
		return err
	}
	return judge(results, reference, out)
}

// judge compares with the limits and the reference.
func judge(results []Result, reference map[string]Counts, out io.Writer) error {
	var failures []error
	for _, r := range results {
		known, found := reference[r.Name]
		if !found {
			failures = append(failures, fmt.Errorf("%s: the reference has no counts: bench/count -update", r.Title))
			continue
		}
		for _, grown := range append(r.Counts.exceeds(known), r.overLimit()...) {
			failures = append(failures, fmt.Errorf("%s: %s", r.Title, grown))
		}
		if r.Counts.falls(known) {
			_, _ = fmt.Fprintf(out, "%s: less than the reference (%g instructions, %g allocations, %g system calls): bench/count -update keeps it so\n",
				r.Title, known.Instructions, known.Allocations, known.SystemCalls)
		}
	}
	if len(failures) > 0 {
		failures = append(failures, errors.New("a change that needs more writes the reference anew (bench/count -update) and says why"))
	}
	return errors.Join(failures...)
}

// overLimit names what no reference may allow for HTTP/1.
func (r Result) overLimit() (over []string) {
	if r.Name != pairs()[0].name {
		return nil
	}
	if r.Allocations >= mostAllocations {
		over = append(over, fmt.Sprintf("allocates %.2f times, most often in\n  %s", r.Allocations, r.Path))
	}
	if r.SystemCalls > mostSystemCalls {
		over = append(over, fmt.Sprintf("takes %.2f system calls, more than %.1f", r.SystemCalls, mostSystemCalls))
	}
	if r.RingSystemCalls > mostRingSystemCalls {
		over = append(over, fmt.Sprintf("takes %.2f system calls with io_uring, more than %.1f", r.RingSystemCalls, mostRingSystemCalls))
	}
	if r.EpollControl > mostEpollControl {
		over = append(over, fmt.Sprintf("takes %.2f epoll_ctl", r.EpollControl))
	}
	return over
}

// Count counts for every pair.
func Count(setup *peer.Setup) ([]Result, error) {
	if err := machine.Require("valgrind", "callgrind_control", "strace", "taskset", "ip"); err != nil {
		return nil, err
	}
	if err := peer.WriteConfig(setup, configFolder(setup)); err != nil {
		return nil, err
	}
	backend, err := measure.StartBackend(setup, machine.AnyCore)
	if err != nil {
		return nil, err
	}
	defer backend.Stop()
	works, err := countWork(setup, pairs())
	if err != nil {
		return nil, err
	}
	calls, err := countSystemCalls(setup, epoll, pairs())
	if err != nil {
		return nil, err
	}
	ringCalls, err := countSystemCalls(setup, ioUring, pairs())
	if err != nil {
		return nil, err
	}
	var results []Result
	for _, pair := range pairs() {
		work, call := works[pair.name], calls[pair.name]
		results = append(results, Result{
			Name: pair.name, Title: pair.title, Counts: Counts{work.instructions, work.allocations, call.total},
			EpollControl: call.epollControl, Calls: call.detail, UnderLoad: work.underLoad, Path: work.path, Functions: work.functions,
			RingSystemCalls: ringCalls[pair.name].total,
		})
	}
	return results, nil
}

func configFolder(setup *peer.Setup) string { return filepath.Join(setup.Directory, "count-config") }

func newSetup(c *cluster.Cluster) (*peer.Setup, error) {
	selvedge, err := c.Selvedge()
	if err != nil {
		return nil, err
	}
	directory, err := os.MkdirTemp("", "selvedge-count-")
	if err != nil {
		return nil, err
	}
	setup := &peer.Setup{Directory: directory, Bench: filepath.Join(c.Root, "bench"), Selvedge: selvedge}
	setup.Certificates, err = peer.NewCertificates(directory)
	return setup, err
}

// startSelvedge runs Selvedge with one worker on the benchmark's folder, under a tool if one is given.
func startSelvedge(setup *peer.Setup, driver string, tool ...string) (*machine.Process, error) {
	line := append(tool, setup.Selvedge, "run", "--config", configFolder(setup), "--concurrency", "1", "--log-level", "warn", "--io-driver", driver)
	process, err := machine.Start(machine.Command(machine.AnyCore, line[0], line[1:]...), filepath.Join(setup.Directory, "output"))
	if err != nil {
		return nil, err
	}
	if err := process.Await(valgrindStart, 50*time.Millisecond, answersHTTP); err != nil {
		process.Stop()
		return nil, err
	}
	return process, nil
}

// answersHTTP opens a connection and sends one request.
func answersHTTP() error {
	open, err := load.Open(1, load.Target{Port: peer.HTTP, Path: "/1k"})
	if err != nil {
		return err
	}
	defer open.Close()
	return open.Request(1, 1, 1)
}

// Package gate counts what one HTTP/1 request through Selvedge takes: instructions, allocations and
// system calls. Counts repeat where times do not, so they can fail a build.
package gate

import (
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
	// mostEpollControl says that no request registers anything.
	mostEpollControl = 0.01
	// valgrindStart bounds the start of the proxy under valgrind, which is some 50 times slower.
	valgrindStart = 60 * time.Second
)

// Run counts, prints, and returns an error if a count is over its limit.
func Run(out io.Writer) error {
	if err := machine.Require("valgrind", "callgrind_control", "strace", "taskset", "ip"); err != nil {
		return err
	}
	c, err := cluster.New(cluster.DefaultName)
	if err != nil {
		return err
	}
	setup, err := newSetup(c)
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(setup.Directory) }()
	backend, err := measure.StartBackend(setup, machine.AnyCore)
	if err != nil {
		return err
	}
	defer backend.Stop()
	work, err := countWork(setup)
	if err != nil {
		return err
	}
	calls, err := countSystemCalls(setup)
	if err != nil {
		return err
	}
	_, _ = fmt.Fprintf(out, `One HTTP/1 request (1 KB) through Selvedge, built as %s:
  instructions in user space  %9.0f   (1 connection, callgrind)
  allocations                 %9.2f   (limit 0)
  system calls                %9.2f   (64 connections; limit %.1f): %s
`, setup.Selvedge, work.instructions, work.allocations, calls.total, mostSystemCalls, calls.detail)
	switch {
	case work.allocations >= mostAllocations:
		return fmt.Errorf("a request allocates %.2f times, most often in\n  %s", work.allocations, work.path)
	case calls.total > mostSystemCalls:
		return fmt.Errorf("a request takes %.2f system calls, more than %.1f", calls.total, mostSystemCalls)
	case calls.epollControl > mostEpollControl:
		return fmt.Errorf("a request takes %.2f epoll_ctl", calls.epollControl)
	}
	return nil
}

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
	if setup.Certificates, err = peer.NewCertificates(directory); err != nil {
		return nil, err
	}
	return setup, peer.WriteConfig(setup, filepath.Join(directory, "config"))
}

// startSelvedge runs Selvedge with one worker on the benchmark's folder, under a tool if one is given.
func startSelvedge(setup *peer.Setup, tool ...string) (*machine.Process, error) {
	line := append(tool, setup.Selvedge, "run", "--config", filepath.Join(setup.Directory, "config"), "--concurrency", "1", "--log-level", "warn")
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
	open, err := load.Open(1, peer.HTTP, "/1k", nil)
	if err != nil {
		return err
	}
	defer open.Close()
	return open.Request(1, 1)
}

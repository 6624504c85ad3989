// Package suite runs the whole benchmark: rows, memory and scale, and writes the report.
package suite

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"selvedge.dev/conformance/bench/machine"
	"selvedge.dev/conformance/bench/measure"
	"selvedge.dev/conformance/bench/memory"
	"selvedge.dev/conformance/bench/peer"
	"selvedge.dev/conformance/bench/report"
	"selvedge.dev/conformance/bench/scale"
	"selvedge.dev/conformance/cluster"
)

// The names of the rows that are not work of a kind.
const (
	MemoryRow = "memory"
	ScaleRow  = "scale"
)

// Options of a run.
type Options struct {
	Rounds  int
	Seconds int
	// Only names rows; nothing is everything.
	Only []string
	// Peers names peers; nothing is all.
	Peers []string
	// Quick is a short run that shows that everything works; its figures mean little.
	Quick bool
	// Command is what the user ran, for the report.
	Command string
}

// whole says whether a run has everything that the committed report holds.
func (o Options) whole() bool { return len(o.Only) == 0 && len(o.Peers) == 0 && !o.Quick }

// Run measures what was asked for and prints the report. A whole run also writes it to docs/.
func Run(options Options, out, progress io.Writer) error {
	c, err := cluster.New(cluster.DefaultName)
	if err != nil {
		return err
	}
	if err := machine.Require("haproxy", "nginx", "wrk", "h2load", "taskset", "ip"); err != nil {
		return err
	}
	if err := machine.RaiseFileLimit(); err != nil {
		return err
	}
	setup, err := newSetup(c)
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(setup.Directory) }()
	result, err := measureAll(options, setup, progress)
	if err != nil {
		return err
	}
	text := result.Markdown()
	if _, err := io.WriteString(out, text); err != nil {
		return err
	}
	if options.whole() {
		file := filepath.Join(c.Root, "..", "docs", "performance.md")
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			return err
		}
	}
	if failures := result.Failures(); len(failures) > 0 {
		return fmt.Errorf("failed: %s", strings.Join(failures, ", "))
	}
	return nil
}

func newSetup(c *cluster.Cluster) (*peer.Setup, error) {
	selvedge, err := c.Selvedge()
	if err != nil {
		return nil, err
	}
	envoy, err := c.Envoy()
	if err != nil {
		return nil, err
	}
	// Logs go to memory: a disk would be part of what is measured.
	directory, err := os.MkdirTemp("/dev/shm", "selvedge-bench-")
	if err != nil {
		return nil, err
	}
	certificates, err := peer.NewCertificates(directory)
	return &peer.Setup{
		Directory: directory, Bench: filepath.Join(c.Root, "bench"), Selvedge: selvedge, Envoy: envoy, Certificates: certificates,
	}, err
}

func measureAll(options Options, setup *peer.Setup, progress io.Writer) (*report.Report, error) {
	peers, err := choosePeers(options.Peers)
	if err != nil {
		return nil, err
	}
	timing := measure.Timing{WarmUp: time.Second, Counted: time.Duration(options.Seconds) * time.Second, Hasty: options.Quick}
	connections, size := 9000, 10000
	if options.Quick {
		connections, size = 500, 1000
	}
	result := &report.Report{
		Date: time.Now(), Command: options.Command, Rounds: options.Rounds, Timing: timing, Peers: peers, Versions: map[string]string{},
	}
	if result.Machine, err = machine.Describe(); err != nil {
		return nil, err
	}
	for _, p := range peers {
		if result.Versions[p.Name], err = p.Version(setup); err != nil {
			return nil, err
		}
	}
	works, err := chooseRows(options)
	if err != nil {
		return nil, err
	}
	for _, work := range works {
		if work.ConstantRate() {
			if work, err = measure.AtRate(work, result.Rows, setup, timing, progress); err != nil {
				return nil, fmt.Errorf("%s: %w", work.Name, err)
			}
		}
		row, err := measure.Rounds(work, peers, setup, options.Rounds, timing, progress)
		if err != nil {
			return nil, err
		}
		result.Rows = append(result.Rows, row)
	}
	if options.wants(MemoryRow) {
		if result.Memory, err = memory.Measure(peers, setup, connections, progress); err != nil {
			return nil, err
		}
	}
	if options.wants(ScaleRow) {
		if result.Scale, err = scale.Measure(setup, size, options.Rounds, progress); err != nil {
			return nil, err
		}
	}
	return result, nil
}

func (o Options) wants(row string) bool { return len(o.Only) == 0 || slices.Contains(o.Only, row) }

// chooseRows leaves memory and scale to their own code.
func chooseRows(options Options) ([]measure.Work, error) {
	rows := slices.DeleteFunc(slices.Clone(options.Only), func(name string) bool { return name == MemoryRow || name == ScaleRow })
	if len(options.Only) > 0 && len(rows) == 0 {
		return nil, nil
	}
	return measure.Select(rows)
}

func choosePeers(names []string) ([]*peer.Peer, error) {
	all := peer.All()
	if len(names) == 0 {
		return all, nil
	}
	var chosen []*peer.Peer
	for _, name := range names {
		i := slices.IndexFunc(all, func(p *peer.Peer) bool { return p.Name == name })
		if i < 0 {
			return nil, errors.Join(fmt.Errorf("no peer %q", name), peerNames(all))
		}
		chosen = append(chosen, all[i])
	}
	return chosen, nil
}

func peerNames(all []*peer.Peer) error {
	var names []string
	for _, p := range all {
		names = append(names, p.Name)
	}
	return fmt.Errorf("there are %s", strings.Join(names, ", "))
}

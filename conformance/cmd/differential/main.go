// Command differential runs the differential scenarios (package differential) on a cluster of its own.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"selvedge.dev/conformance/cluster"
	"selvedge.dev/conformance/differential"
)

// options are the flags.
type options struct {
	name, subject                   string
	reuse, keep, configure, verbose bool
}

func main() {
	var o options
	flag.StringVar(&o.name, "name", "differential", "the cluster's name")
	flag.BoolVar(&o.reuse, "reuse", false, "use the cluster as it is, with what earlier runs left in it")
	flag.BoolVar(&o.keep, "keep", false, "leave the cluster running")
	flag.BoolVar(&o.configure, "configure", false, "only start the cluster with the scenarios' configuration, and leave it running")
	flag.StringVar(&o.subject, "subject", "selvedge", "what is compared with Envoy: selvedge, or envoy to test the runner itself")
	flag.BoolVar(&o.verbose, "v", false, "show accepted differences, too")
	flag.Usage = func() {
		fmt.Fprintln(os.Stderr, "usage: differential [flags] [SCENARIO...]")
		flag.PrintDefaults()
	}
	flag.Parse()
	passed, err := run(o, flag.Args())
	if err != nil {
		fmt.Fprintln(os.Stderr, "differential:", err)
	}
	if err != nil || !passed {
		os.Exit(1)
	}
}

func run(o options, names []string) (bool, error) {
	c, err := cluster.New(o.name)
	if err != nil {
		return false, err
	}
	scenarios, err := differential.LoadScenarios(filepath.Join(c.Root, "differential", "scenarios"), names)
	if err != nil {
		return false, err
	}
	var accepted []*differential.Accepted
	if o.subject != cluster.EnvoyBinary {
		if accepted, err = differential.LoadAccepted(filepath.Join(c.Root, "differences.md")); err != nil {
			return false, err
		}
		if _, err := c.Selvedge(); err != nil {
			return false, err
		}
	}
	if !o.keep && !o.reuse && !o.configure {
		defer c.Own()()
	}
	ctx := context.Background()
	if err := c.Enter(ctx, "differential", o.reuse); err != nil {
		return false, err
	}
	runner := &differential.Runner{Cluster: c, Subject: o.subject, Progress: progress()}
	if o.configure {
		return true, runner.Configure(ctx, scenarios)
	}
	return compare(ctx, runner, scenarios, accepted, o.verbose)
}

func compare(ctx context.Context, runner *differential.Runner, scenarios []*differential.Scenario, accepted []*differential.Accepted, verbose bool) (bool, error) {
	exchanges, err := runner.Run(ctx, scenarios)
	if err != nil {
		return false, err
	}
	shown, err := runner.Istioctl()
	if err != nil {
		return false, err
	}
	verdict := runner.Judge(scenarios, exchanges, shown, accepted)
	verdict.Write(os.Stdout, verbose)
	passed, failed := verdict.Counts()
	fmt.Printf("%d passed, %d failed, 0 skipped\n", passed, failed)
	return verdict.Passed(), nil
}

func progress() func(string, ...any) {
	started := time.Now()
	return func(format string, arguments ...any) {
		fmt.Printf("[%5.1f s] "+format+"\n", append([]any{time.Since(started).Seconds()}, arguments...)...)
	}
}

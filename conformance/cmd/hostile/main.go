// Command hostile sends hostile traffic to Selvedge and to Envoy (package hostile).
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"

	"selvedge.dev/conformance/bench/sandbox"
	"selvedge.dev/conformance/cluster"
	"selvedge.dev/conformance/gateways"
	"selvedge.dev/conformance/hostile"
	"selvedge.dev/conformance/hostile/recorder"
)

func main() {
	verbose := flag.Bool("v", false, "show what became of every case")
	flag.Usage = func() {
		fmt.Fprintln(flag.CommandLine.Output(), "usage: hostile [-v] [PART OF A CASE'S NAME...]")
		flag.PrintDefaults()
	}
	flag.Parse()
	counts, err := run(hostile.Options{Only: flag.Args(), Verbose: *verbose})
	if err != nil {
		fmt.Fprintln(os.Stderr, "hostile:", err)
		counts.Failed++
	}
	fmt.Printf("%d passed, %d failed, %d skipped\n", counts.Passed, counts.Failed, counts.Skipped)
	if counts.Failed > 0 {
		os.Exit(1)
	}
}

func run(options hostile.Options) (counts hostile.Counts, err error) {
	if err := sandbox.Enter(); err != nil {
		return counts, err
	}
	c, err := cluster.New(cluster.DefaultName)
	if err != nil {
		return counts, err
	}
	directory, err := os.MkdirTemp("", "selvedge-hostile-")
	if err != nil {
		return counts, err
	}
	defer func() { _ = os.RemoveAll(directory) }()
	runner := &hostile.Runner{Options: options, Out: os.Stdout}
	for _, start := range []struct {
		find func(*cluster.Cluster) (*gateways.Gateway, error)
		as   **hostile.Subject
	}{{gateways.Selvedge, &runner.Selvedge}, {gateways.Envoy, &runner.Envoy}} {
		gateway, err := start.find(c)
		if err != nil {
			return counts, err
		}
		subject, err := startSubject(gateway, directory)
		if err != nil {
			return counts, err
		}
		defer subject.Stop()
		*start.as = subject
	}
	err = errors.Join(runner.Run())
	return runner.Counts, err
}

func startSubject(gateway *gateways.Gateway, directory string) (*hostile.Subject, error) {
	backend, err := recorder.Listen(gateway.Backend)
	if err != nil {
		return nil, err
	}
	running, err := gateway.Start(directory)
	if err != nil {
		return nil, err
	}
	return &hostile.Subject{Running: running, Backend: backend}, nil
}

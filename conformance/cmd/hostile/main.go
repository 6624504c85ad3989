// Command hostile sends hostile traffic to Selvedge and to Envoy (package hostile).
package main

import (
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
	envoy := flag.Bool("envoy", false, "judge Envoy as if it were Selvedge")
	flag.Usage = func() {
		fmt.Fprintln(flag.CommandLine.Output(), "usage: hostile [-v] [-envoy] [PART OF A CASE'S NAME...]")
		flag.PrintDefaults()
	}
	flag.Parse()
	counts, err := run(hostile.Options{Only: flag.Args(), Verbose: *verbose}, *envoy)
	if err != nil {
		fmt.Fprintln(os.Stderr, "hostile:", err)
		counts.Failed++
	}
	fmt.Printf("%d passed, %d failed, %d skipped\n", counts.Passed, counts.Failed, counts.Skipped)
	if counts.Failed > 0 {
		os.Exit(1)
	}
}

func run(options hostile.Options, envoyAlone bool) (counts hostile.Counts, err error) {
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
	if runner.Envoy, err = start(c, gateways.Envoy, directory); err != nil {
		return counts, err
	}
	defer runner.Envoy.Stop()
	if envoyAlone {
		runner.Selvedge, runner.Envoy = runner.Envoy, nil
	} else if runner.Selvedge, err = start(c, gateways.Selvedge, directory); err != nil {
		return counts, err
	} else {
		defer runner.Selvedge.Stop()
	}
	err = runner.Run()
	return runner.Counts, err
}

func start(c *cluster.Cluster, find func(*cluster.Cluster) (*gateways.Gateway, error), directory string) (*hostile.Subject, error) {
	gateway, err := find(c)
	if err != nil {
		return nil, err
	}
	backend, err := recorder.Listen(gateway.Backend)
	if err != nil {
		return nil, err
	}
	http2, err := recorder.ListenHTTP2(gateway.HTTP2Backend)
	if err != nil {
		return nil, err
	}
	running, err := gateway.Start(directory)
	if err != nil {
		return nil, err
	}
	return &hostile.Subject{Running: running, Backend: backend, HTTP2: http2}, nil
}

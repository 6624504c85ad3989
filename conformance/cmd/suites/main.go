// Command suites runs the suites of others against Selvedge (package suites).
package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"selvedge.dev/conformance/bench/sandbox"
	"selvedge.dev/conformance/cluster"
	"selvedge.dev/conformance/suites"
)

func main() {
	// connectconformance starts this program as its server.
	if len(os.Args) > 1 && os.Args[1] == "connect-server" {
		if err := suites.ConnectServer(os.Args[2:]); err != nil {
			fmt.Fprintln(os.Stderr, "suites:", err)
			os.Exit(1)
		}
		return
	}
	verbose := flag.Bool("v", false, "show what passed, too")
	envoy := flag.Bool("envoy", false, "judge Envoy as if it were Selvedge")
	flag.Usage = func() {
		fmt.Fprintf(flag.CommandLine.Output(), "usage: suites [-v] [-envoy] [SUITE...]\nThe suites are %s.\n", strings.Join(suites.Names(), ", "))
		flag.PrintDefaults()
	}
	flag.Parse()
	counts, err := run(flag.Args(), &suites.Lab{JudgeEnvoy: *envoy, Verbose: *verbose, Out: os.Stdout})
	if err != nil {
		fmt.Fprintln(os.Stderr, "suites:", err)
		counts.Failed++
	}
	fmt.Printf("%d passed, %d failed, %d skipped\n", counts.Passed, counts.Failed, counts.Skipped)
	if counts.Failed > 0 {
		os.Exit(1)
	}
}

func run(names []string, lab *suites.Lab) (suites.Counts, error) {
	if err := sandbox.Enter(); err != nil {
		return suites.Counts{}, err
	}
	c, err := cluster.New(cluster.DefaultName)
	if err != nil {
		return suites.Counts{}, err
	}
	directory, err := os.MkdirTemp("", "selvedge-suites-")
	if err != nil {
		return suites.Counts{}, err
	}
	defer func() { _ = os.RemoveAll(directory) }()
	logs := filepath.Join(c.Root, ".work", "logs", "suites")
	if err := os.MkdirAll(logs, 0o755); err != nil {
		return suites.Counts{}, err
	}
	lab.Cluster, lab.Directory, lab.Logs = c, directory, logs
	return lab.Run(names)
}

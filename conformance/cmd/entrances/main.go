// Command entrances shows that clients other than Selvedge reach services of other edges (package entrances).
package main

import (
	"flag"
	"fmt"
	"os"

	"selvedge.dev/conformance/bench/sandbox"
	"selvedge.dev/conformance/cluster"
	"selvedge.dev/conformance/entrances"
)

func main() {
	flag.Usage = func() {
		fmt.Fprintln(flag.CommandLine.Output(), "usage: entrances [PART OF A CHECK'S NAME...]")
	}
	flag.Parse()
	passed, failed, err := run(flag.Args())
	if err != nil {
		fmt.Fprintln(os.Stderr, "entrances:", err)
		failed++
	}
	fmt.Printf("%d passed, %d failed, 0 skipped\n", passed, failed)
	if failed > 0 {
		os.Exit(1)
	}
}

func run(only []string) (passed, failed int, err error) {
	if err := sandbox.Enter(); err != nil {
		return 0, 0, err
	}
	c, err := cluster.New(cluster.DefaultName)
	if err != nil {
		return 0, 0, err
	}
	directory, err := os.MkdirTemp("", "selvedge-entrances-")
	if err != nil {
		return 0, 0, err
	}
	defer func() { _ = os.RemoveAll(directory) }()
	site, err := entrances.Start(c, directory)
	if err != nil {
		return 0, 0, err
	}
	defer site.Stop()
	passed, failed = site.Run(only, os.Stdout)
	return passed, failed, nil
}

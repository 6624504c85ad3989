// Command edges measures edges and hubs in a lab of namespaces (package edges).
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"

	"selvedge.dev/conformance/checking"
	"selvedge.dev/conformance/cluster"
	"selvedge.dev/conformance/edges"
	"selvedge.dev/conformance/network"
)

func main() {
	var settings edges.Settings
	flag.BoolVar(&settings.Long, "long", false, "as long as the figures are meant: a gigabyte, a minute of black holes")
	flag.BoolVar(&settings.WithoutLoad, "without-load", false, "leave out what measures cost and rates, for which a machine must do nothing else")
	keep := flag.Bool("keep", false, "keep what processes have written, and say where")
	flag.Usage = func() {
		fmt.Fprintln(os.Stderr, "usage: edges [flags] [PART OF A CHECK'S NAME...]")
		flag.PrintDefaults()
	}
	flag.Parse()
	if err := run(settings, *keep, flag.Args()); err != nil {
		fmt.Fprintln(os.Stderr, "edges:", err)
		os.Exit(1)
	}
}

func run(settings edges.Settings, keep bool, only []string) error {
	if err := network.RequireRoot(); err != nil {
		return err
	}
	c, err := cluster.New(cluster.DefaultName)
	if err != nil {
		return err
	}
	if settings.Selvedge, err = c.Selvedge(); err != nil {
		return err
	}
	if settings.Envoy, err = c.Envoy(); err != nil {
		return err
	}
	directory, err := os.MkdirTemp("", "selvedge-edges-")
	if err != nil {
		return err
	}
	if keep {
		fmt.Println("processes write to", directory)
	} else {
		defer func() { _ = os.RemoveAll(directory) }()
	}
	runner := &checking.Runner{Checks: edges.All(settings), Only: only, Directory: directory, Out: os.Stdout}
	counts := runner.Run()
	fmt.Printf("%d passed, %d failed, %d skipped\n", counts.Passed, counts.Failed, counts.Skipped)
	if counts.Failed > 0 {
		return errors.New("not all checks passed")
	}
	return nil
}

// Command local compares what the gateway makes of folders of YAML with what istiod sends for them
// (package local), on a cluster of its own.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"time"

	"selvedge.dev/conformance/cluster"
	"selvedge.dev/conformance/local"
)

// options are the flags.
type options struct {
	name                string
	reuse, keep, record bool
}

func main() {
	var o options
	flag.StringVar(&o.name, "name", "local", "the cluster's name")
	flag.BoolVar(&o.reuse, "reuse", false, "use the cluster as it is")
	flag.BoolVar(&o.keep, "keep", false, "leave the cluster running")
	flag.BoolVar(&o.record, "record", false, "write what istiod sends into xds/local/tests/istiod/*/resources.json")
	flag.Usage = func() {
		fmt.Fprintln(os.Stderr, "usage: local [flags] [FOLDER...]     folders are istiod/NAME, examples/NAME, scenarios,\nor paths: their Gateways are bound to the gateway of the suite")
		flag.PrintDefaults()
	}
	flag.Parse()
	failed, err := run(o, flag.Args())
	if err != nil {
		fmt.Fprintln(os.Stderr, "local:", err)
	}
	if err != nil || failed > 0 {
		os.Exit(1)
	}
}

func run(o options, folders []string) (failed int, err error) {
	c, err := cluster.New(o.name)
	if err != nil {
		return 0, err
	}
	selvedge, err := c.Selvedge()
	if err != nil {
		return 0, err
	}
	if !o.keep && !o.reuse {
		defer c.Own()()
	}
	ctx := context.Background()
	if err := c.Enter(ctx, "local", o.reuse); err != nil {
		return 0, err
	}
	started := time.Now()
	progress := func(format string, arguments ...any) {
		fmt.Printf("[%5.1f s] "+format+"\n", append([]any{time.Since(started).Seconds()}, arguments...)...)
	}
	suite := &local.Suite{Cluster: c, Selvedge: selvedge, Record: o.record, Progress: progress}
	results, skipped, err := suite.Run(ctx, folders)
	if err != nil {
		return 0, err
	}
	passed, failed := local.Write(os.Stdout, results, skipped)
	fmt.Printf("%d passed, %d failed, %d skipped\n", passed, failed, len(skipped))
	return failed, nil
}

// Command changes alters the configuration of a gateway under traffic (package changes).
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"time"

	"selvedge.dev/conformance/changes"
	"selvedge.dev/conformance/cluster"
	"selvedge.dev/conformance/differential"
)

func main() {
	name := flag.String("name", "changes", "the cluster's name")
	keep := flag.Bool("keep", false, "leave the cluster running")
	role := flag.String("gateway", changes.Restartable, "which gateway: restartable, or oracle to see what Envoy does")
	duration := flag.Duration("for", 0, "go on with the changes for so long")
	flag.Parse()
	failed, err := run(*name, *role, *duration, *keep)
	if err != nil {
		fmt.Fprintln(os.Stderr, "changes:", err)
	}
	if err != nil || failed > 0 {
		os.Exit(1)
	}
}

func run(name, role string, duration time.Duration, keep bool) (failed int, err error) {
	c, err := cluster.New(name)
	if err != nil {
		return 0, err
	}
	if _, err := c.Selvedge(); err != nil {
		return 0, err
	}
	if !keep {
		defer c.Own()()
	}
	ctx := context.Background()
	if err := c.Enter(ctx, "differential", false); err != nil {
		return 0, err
	}
	runner := &differential.Runner{Cluster: c, Subject: "selvedge"}
	if err := runner.Configure(ctx, nil); err != nil {
		return 0, err
	}
	suite := &changes.Suite{Runner: runner, Role: role, Duration: duration}
	results, err := suite.Run(ctx)
	if err != nil {
		return 0, err
	}
	failed = changes.Write(os.Stdout, results)
	fmt.Printf("%d passed, %d failed, 0 skipped\n", len(results)-failed, failed)
	return failed, nil
}

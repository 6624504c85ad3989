// Command mesh has an edge in a cluster and edges outside of it call each other's services (package mesh).
package main

import (
	"context"
	"flag"
	"fmt"
	"os"

	"selvedge.dev/conformance/cluster"
	"selvedge.dev/conformance/mesh"
)

func main() {
	name := flag.String("name", "mesh", "the cluster's name")
	keep := flag.Bool("keep", false, "leave the cluster running")
	flag.Parse()
	failed, err := run(*name, *keep)
	if err != nil {
		fmt.Fprintln(os.Stderr, "mesh:", err)
	}
	if err != nil || failed > 0 {
		os.Exit(1)
	}
}

func run(name string, keep bool) (failed int, err error) {
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
	// The one in which a stock Envoy takes what istiod sends.
	if err := c.Enter(ctx, "differential", false); err != nil {
		return 0, err
	}
	suite := &mesh.Suite{Cluster: c, Output: os.Stdout, Names: flag.Args()}
	passed, failed, err := suite.Run(ctx)
	if err != nil {
		return failed, err
	}
	fmt.Printf("%d passed, %d failed, 0 skipped\n", passed, failed)
	return failed, nil
}

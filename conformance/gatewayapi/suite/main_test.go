// Package suite runs Gateway API conformance, as a Go test, on a cluster of plain processes.
package suite

import (
	"context"
	"flag"
	"fmt"
	"os"
	"testing"

	"selvedge.dev/conformance/cluster"
	"selvedge.dev/conformance/gatewayapi"
)

// run is what TestMain and the test share.
var run struct {
	cluster *cluster.Cluster
	outcome *gatewayapi.Outcome
}

var (
	clusterName = flag.String("cluster", "gatewayapi", "the cluster's name")
	profile     = flag.String("profile", "default", "how istiod runs (cluster/profiles)")
	keep        = flag.Bool("keep", false, "leave the cluster running")
	reuse       = flag.Bool("reuse", false, "use the cluster as it is")
)

// TestMain brings up a cluster for the test, and turns its report into the exit status.
func TestMain(m *testing.M) {
	flag.Parse()
	code, err := runTests(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, "gateway-api:", err)
	}
	os.Exit(code)
}

func runTests(m *testing.M) (int, error) {
	var err error
	if run.cluster, err = cluster.New(*clusterName); err != nil {
		return 1, err
	}
	if _, err := run.cluster.Selvedge(); err != nil {
		return 1, err
	}
	if !*keep && !*reuse {
		defer run.cluster.Own()()
	}
	if err := run.cluster.Enter(context.Background(), *profile, *reuse); err != nil {
		return 1, err
	}
	if err := os.Setenv("KUBECONFIG", run.cluster.Kubeconfig()); err != nil {
		return 1, err
	}
	code := m.Run()
	if run.outcome == nil {
		return code, nil // one test, or none at all
	}
	fmt.Println("\n== Gateway API conformance")
	run.outcome.Write(os.Stdout)
	if run.outcome.Passed() {
		return 0, nil
	}
	return 1, nil
}

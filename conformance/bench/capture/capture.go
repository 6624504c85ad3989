// Package capture takes from a real istiod what it sends to a gateway for the benchmark's folder.
package capture

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"selvedge.dev/conformance/bench/ads"
	"selvedge.dev/conformance/cluster"
)

const (
	// clusterName tells the cluster from others on the machine.
	clusterName = "benchcap"
	namespace   = "bench"
	applyLimit  = 30 * time.Second
	// pushLimit is how long istiod may take to know everything that was applied.
	pushLimit = 30 * time.Second
)

// Profiles of istiod (cluster/profiles) by the gateway program that gets what it sends.
var Profiles = map[string]string{
	"selvedge": "default",
	"envoy":    "vanilla-envoy",
}

// Capture starts a cluster and writes istio/PROGRAM.json. It starts this program again inside the
// cluster's network namespace, so call it first.
func Capture(ctx context.Context, program string) error {
	c, err := cluster.New(clusterName)
	if err != nil {
		return err
	}
	profile, err := cluster.LoadProfile(Profiles[program])
	if err != nil {
		return err
	}
	profile.MeshConfig["accessLogFile"] = "/dev/stdout"
	if !c.Inside() {
		if err := c.Prepare(); err != nil {
			return err
		}
	}
	if err := c.EnterNode(); err != nil {
		return err
	}
	defer func() { _ = c.Down() }()
	clients, err := c.Up(ctx, profile)
	if err != nil {
		return err
	}
	bench := filepath.Join(c.Root, "bench")
	if err := applyFolder(ctx, clients, filepath.Join(bench, "config")); err != nil {
		return err
	}
	resources, err := fetchWhole(ctx)
	if err != nil {
		return err
	}
	return ads.Save(filepath.Join(bench, "istio", program+".json"), keepOurs(resources))
}

func applyFolder(ctx context.Context, clients *cluster.Clients, folder string) error {
	object := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace}}
	if _, err := clients.Kubernetes.CoreV1().Namespaces().Create(ctx, object, metav1.CreateOptions{}); err != nil {
		return err
	}
	files, err := filepath.Glob(filepath.Join(folder, "*.yaml"))
	if err != nil {
		return err
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		objects, err := cluster.ParseObjects(data)
		if err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
		if err := clients.Apply(ctx, objects, applyLimit); err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
	}
	return nil
}

// fetchWhole asks until istiod sends a listener for each port of the folder and a cluster for each of
// the backends', one of them with the client certificate that a rule gave it.
func fetchWhole(ctx context.Context) ([]ads.Resource, error) {
	const listeners, clusters = 8, 7
	address := fmt.Sprintf("127.0.0.1:%d", cluster.IstiodXDS)
	for deadline := time.Now().Add(pushLimit); ; time.Sleep(200 * time.Millisecond) {
		resources, err := ads.Fetch(ctx, address, map[string]any{"istio": "bench"})
		counts := map[string]int{}
		certified := false
		for _, resource := range keepOurs(resources) {
			counts[resource.Body.TypeUrl]++
			certified = certified || bytes.Contains(resource.Body.Value, []byte("kubernetes://bench-client"))
		}
		if err == nil && counts[ads.Listener] == listeners && counts[ads.Cluster] == clusters && certified {
			return resources, nil
		}
		if time.Now().After(deadline) {
			return nil, fmt.Errorf("istiod sends %v, client certificate %t, after %s: %w", counts, certified, pushLimit, err)
		}
	}
}

// keepOurs leaves out what istiod sends for the cluster's own services.
func keepOurs(resources []ads.Resource) []ads.Resource {
	var ours []ads.Resource
	for _, resource := range resources {
		switch resource.Body.TypeUrl {
		case ads.Cluster, ads.Endpoints:
			if !strings.Contains(resource.Name, "bench.internal") {
				continue
			}
		}
		ours = append(ours, resource)
	}
	return ours
}

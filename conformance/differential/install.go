package differential

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sort"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"selvedge.dev/conformance/cluster"
)

const (
	// applyLimit bounds one wait for the API server and istiod's webhooks.
	applyLimit = 20 * time.Second
	// markerHost answers with the run's token as soon as the last configuration is served.
	markerHost = "marker.selvedge.test"
)

// installBase puts the gateways and backends into the cluster.
func (r *Runner) installBase(ctx context.Context) error {
	files, err := filepath.Glob(filepath.Join(r.folder(), "base", "*.yaml"))
	if err != nil {
		return err
	}
	sort.Strings(files)
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		if err := r.Apply(ctx, data); err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
	}
	return nil
}

// installScenarios applies the configuration of all scenarios at once; they end with a marker.
func (r *Runner) installScenarios(ctx context.Context, scenarios []*Scenario) error {
	var all []*unstructured.Unstructured
	for _, scenario := range scenarios {
		objects, err := r.prepared(scenario.Objects)
		if err != nil {
			return fmt.Errorf("scenario %s: %w", scenario.Name, err)
		}
		all = append(all, objects...)
	}
	if service := GatewayService(all); service != nil {
		all = append([]*unstructured.Unstructured{service}, all...)
	}
	for _, name := range sortedKeys(r.pairs) {
		all = append(all, marker(name, r.token))
	}
	return r.clients.Apply(ctx, all, applyLimit)
}

// prepared makes the objects ready for the API server, and the subject an Envoy if the runner tests itself.
func (r *Runner) prepared(objects []*unstructured.Unstructured) ([]*unstructured.Unstructured, error) {
	prepared, err := Prepare(objects, r.authorities)
	if err != nil {
		return nil, err
	}
	for _, object := range prepared {
		if object.GetKind() != "Deployment" || r.Subject != cluster.EnvoyBinary {
			continue
		}
		labels, _, err := unstructured.NestedStringMap(object.Object, "spec", "template", "metadata", "labels")
		if err != nil {
			return nil, err
		}
		if labels["role"] == "subject" {
			labels[cluster.DataplaneLabel] = cluster.EnvoyBinary
			if err := unstructured.SetNestedStringMap(object.Object, labels, "spec", "template", "metadata", "labels"); err != nil {
				return nil, err
			}
		}
	}
	return prepared, nil
}

// marker is a route of its own that names the run; it is applied last.
func marker(pair, token string) *unstructured.Unstructured {
	return &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "networking.istio.io/v1", "kind": "VirtualService",
		"metadata": map[string]any{"name": "marker-" + pair, "namespace": Namespace},
		"spec": map[string]any{
			"hosts": []any{markerHost}, "gateways": []any{"marker-" + pair},
			"http": []any{map[string]any{"directResponse": map[string]any{"status": int64(200), "body": map[string]any{"string": token}}}},
		},
	}}
}

// Apply puts the objects of a YAML text into the cluster, after Configure.
func (r *Runner) Apply(ctx context.Context, text []byte) error {
	objects, err := cluster.ParseObjects(text)
	if err != nil {
		return err
	}
	if objects, err = r.prepared(objects); err != nil {
		return err
	}
	return r.clients.Apply(ctx, objects, applyLimit)
}

// Delete removes the objects of a YAML text.
func (r *Runner) Delete(ctx context.Context, text []byte) error {
	objects, err := cluster.ParseObjects(text)
	if err != nil {
		return err
	}
	if objects, err = r.prepared(objects); err != nil {
		return err
	}
	return r.clients.Delete(ctx, objects)
}

// Gateway waits for one gateway of the pair "edge" to be ready; the role is oracle or subject, or that of
// a gateway that was applied.
func (r *Runner) Gateway(ctx context.Context, role string) (*cluster.Pod, error) {
	pods, err := r.Cluster.AwaitReady(ctx, r.clients, Namespace, "istio=edge,role="+role, 1, podLimit)
	if err != nil {
		return nil, err
	}
	return &pods[0], nil
}

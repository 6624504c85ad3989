package differential

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sort"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"selvedge.dev/conformance/cluster"
)

const (
	// applyLimit bounds one wait for the API server and istiod's webhooks.
	applyLimit = 20 * time.Second
	// markerHost answers with the run's token as soon as the last configuration is served.
	markerHost = "marker.selvedge.test"
	// gatewayService is what Gateway API's Gateways name as their address: it selects both gateways.
	gatewayService = "edge"
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
	if service := gatewayPorts(all); service != nil {
		all = append([]*unstructured.Unstructured{service}, all...)
	}
	for _, name := range sortedKeys(r.pairs) {
		all = append(all, marker(name, r.token))
	}
	return r.clients.Apply(ctx, all, applyLimit)
}

// prepared turns Certificates into Secrets, fits Gateways to the pair, and makes the subject an Envoy
// if the runner tests itself.
func (r *Runner) prepared(objects []*unstructured.Unstructured) ([]*unstructured.Unstructured, error) {
	var prepared []*unstructured.Unstructured
	for _, object := range objects {
		switch {
		case object.GetKind() == certificateKind:
			secret, err := r.authorities.secret(object)
			if err != nil {
				return nil, err
			}
			object = secret
		case isGatewayAPI(object):
			address := map[string]any{"type": "Hostname", "value": gatewayService + "." + Namespace + ".svc.cluster.local"}
			if err := unstructured.SetNestedSlice(object.Object, []any{address}, "spec", "addresses"); err != nil {
				return nil, err
			}
		case object.GetKind() == "Deployment" && r.Subject == "envoy":
			labels, _, err := unstructured.NestedStringMap(object.Object, "spec", "template", "metadata", "labels")
			if err != nil {
				return nil, err
			}
			if labels["role"] == "subject" {
				labels[cluster.DataplaneLabel] = "envoy"
				if err := unstructured.SetNestedStringMap(object.Object, labels, "spec", "template", "metadata", "labels"); err != nil {
					return nil, err
				}
			}
		}
		prepared = append(prepared, object)
	}
	return prepared, nil
}

func isGatewayAPI(object *unstructured.Unstructured) bool {
	return object.GetKind() == "Gateway" && object.GroupVersionKind().Group == "gateway.networking.k8s.io"
}

// gatewayPorts is the Service of both gateways with the ports of all Gateway API listeners: istiod
// binds such a Gateway to pods through a Service, port by port.
func gatewayPorts(objects []*unstructured.Unstructured) *unstructured.Unstructured {
	numbers := map[int64]bool{}
	for _, object := range objects {
		if !isGatewayAPI(object) {
			continue
		}
		listeners, _, _ := unstructured.NestedSlice(object.Object, "spec", "listeners")
		for _, item := range listeners {
			if listener, ok := item.(map[string]any); ok {
				if number, ok := listener["port"].(int64); ok {
					numbers[number] = true
				}
			}
		}
	}
	var ports []any
	for number := range numbers {
		ports = append(ports, map[string]any{"name": fmt.Sprintf("tcp-%d", number), "port": number, "targetPort": number})
	}
	if ports == nil {
		return nil
	}
	return &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "v1", "kind": "Service",
		"metadata": map[string]any{"name": gatewayService, "namespace": Namespace},
		"spec":     map[string]any{"selector": map[string]any{"istio": "edge"}, "ports": ports},
	}}
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

// readIstioAuthority takes istiod's own signing key, to make backends that are part of the mesh.
func (r *Runner) readIstioAuthority(ctx context.Context) error {
	secret, err := r.clients.Kubernetes.CoreV1().Secrets("istio-system").Get(ctx, "istio-ca-secret", metav1.GetOptions{})
	if err != nil {
		return err
	}
	r.authorities["istio"], err = parseAuthority(secret.Data["ca-cert.pem"], secret.Data["ca-key.pem"])
	return err
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

// Gateway waits for one gateway of the pair "edge" to be ready; the role is oracle or subject.
func (r *Runner) Gateway(ctx context.Context, role string) (*cluster.Pod, error) {
	pods, err := r.Cluster.AwaitReady(ctx, r.clients, Namespace, "istio=edge,role="+role, 1, podLimit)
	if err != nil {
		return nil, err
	}
	return &pods[0], nil
}

package local

import (
	"context"
	"fmt"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"selvedge.dev/conformance/differential"
)

// markerSuffix ends the hosts of the markers: a ServiceEntry that is applied behind each folder.
const markerSuffix = ".marker.selvedge.test"

// install replaces the objects of the folder before by those of this one, and returns the host of the
// marker: istiod knows what was applied before it once it sends a cluster for that host. The objects get
// the time of their creation: the older of two goes first in many places.
func (s *Suite) install(ctx context.Context, folder *Folder) (string, error) {
	if err := s.clients.Delete(ctx, s.installed); err != nil {
		return "", err
	}
	s.installed = nil
	objects := slices.Clone(folder.Objects)
	if service := differential.GatewayService(objects); service != nil {
		objects = append(objects, service)
	}
	host := fmt.Sprintf("t%d%s", time.Now().UnixNano(), markerSuffix)
	objects = append(objects, marker(host))
	namespaces, others := splitNamespaces(objects)
	// Namespaces stay: to remove one takes long, and it is empty.
	s.installed = others
	return host, s.clients.Apply(ctx, append(namespaces, others...), applyLimit)
}

// installAtOnce installs the folder again until all its objects are of the same second: a golden file
// must not depend on their order.
func (s *Suite) installAtOnce(ctx context.Context, folder *Folder) (string, error) {
	const attempts = 10
	for range attempts {
		host, err := s.install(ctx, folder)
		if err != nil || areOfOneSecond(s.installed) {
			return host, err
		}
	}
	return "", fmt.Errorf("%d times the objects could not be applied within one second: record on a machine that does less", attempts)
}

func areOfOneSecond(objects []*unstructured.Unstructured) bool {
	return !slices.ContainsFunc(objects, func(object *unstructured.Unstructured) bool {
		return object.GetCreationTimestamp() != objects[0].GetCreationTimestamp()
	})
}

// splitNamespaces returns the Namespaces that objects are or are in, and the other objects.
func splitNamespaces(objects []*unstructured.Unstructured) (namespaces, others []*unstructured.Unstructured) {
	seen := map[string]bool{"": true}
	for _, object := range objects {
		if object.GetKind() == "Namespace" {
			seen[object.GetName()] = true
			namespaces = append(namespaces, object)
		} else {
			others = append(others, object)
		}
	}
	for _, object := range others {
		if name := object.GetNamespace(); !seen[name] {
			seen[name] = true
			namespaces = append(namespaces, &unstructured.Unstructured{Object: map[string]any{
				"apiVersion": "v1", "kind": "Namespace", "metadata": map[string]any{"name": name},
			}})
		}
	}
	return namespaces, others
}

func marker(host string) *unstructured.Unstructured {
	return &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "networking.istio.io/v1", "kind": "ServiceEntry",
		"metadata": map[string]any{"name": "marker", "namespace": namespace},
		"spec": map[string]any{
			"hosts": []any{host}, "resolution": "NONE",
			"ports": []any{map[string]any{"number": int64(80), "name": "http", "protocol": "HTTP"}},
		},
	}}
}

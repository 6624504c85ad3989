package local

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"selvedge.dev/conformance/differential"
)

// markerSuffix ends the hosts of the markers: a ServiceEntry that is applied behind each folder.
const markerSuffix = ".marker.selvedge.test"

// install replaces the objects of the folder before by those of this one, and returns the host of the
// marker: istiod knows what was applied before it once it sends a cluster for that host.
func (s *Suite) install(ctx context.Context, folder *Folder) (string, error) {
	if err := s.clients.Delete(ctx, s.installed); err != nil {
		return "", err
	}
	s.installed = nil
	objects := slices.Clone(folder.Objects)
	if service := differential.GatewayService(objects); service != nil {
		objects = append(objects, service)
	}
	slices.SortStableFunc(objects, compareAge)
	host := fmt.Sprintf("t%d%s", time.Now().UnixNano(), markerSuffix)
	objects = append(objects, marker(host))
	for _, object := range objects {
		// Namespaces stay: to remove one takes long, and it is empty.
		if object.GetKind() != "Namespace" {
			s.installed = append(s.installed, object)
		}
	}
	return host, s.clients.Apply(ctx, append(missingNamespaces(objects), objects...), applyLimit)
}

// compareAge orders objects of one kind as xds/local and istiod do if all are of the same second, so
// that it does not matter if they are not.
func compareAge(a, b *unstructured.Unstructured) int {
	return slices.Compare(ageOf(a), ageOf(b))
}

func ageOf(object *unstructured.Unstructured) []string {
	switch kind := object.GetKind(); {
	case kind == "Namespace":
		return []string{"0", object.GetName()}
	case strings.HasSuffix(kind, "Route"):
		// The Gateway API says so.
		return []string{"1", object.GetNamespace(), object.GetName()}
	default:
		return []string{"2", object.GetName(), object.GetNamespace()}
	}
}

// missingNamespaces are those that objects are in and that no object is.
func missingNamespaces(objects []*unstructured.Unstructured) []*unstructured.Unstructured {
	seen := map[string]bool{"": true}
	for _, object := range objects {
		if object.GetKind() == "Namespace" {
			seen[object.GetName()] = true
		}
	}
	var missing []*unstructured.Unstructured
	for _, object := range objects {
		if name := object.GetNamespace(); !seen[name] {
			seen[name] = true
			missing = append(missing, &unstructured.Unstructured{Object: map[string]any{
				"apiVersion": "v1", "kind": "Namespace", "metadata": map[string]any{"name": name},
			}})
		}
	}
	return missing
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

package mesh

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"selvedge.dev/conformance/cluster"
)

// example lets the API server look at the manifest that the documents name, and istiod make of its pods what it would.
func (s *Suite) example(ctx context.Context) (string, error) {
	text, err := os.ReadFile(filepath.Join(s.Cluster.Root, "..", "examples", "overlay", "gateway.yaml"))
	if err != nil {
		return "", err
	}
	objects, err := cluster.ParseObjects(text)
	if err != nil {
		return "", err
	}
	for _, object := range objects {
		if _, err := s.clients.DryRun(ctx, object); err != nil {
			return "", fmt.Errorf("%s %s: %w", object.GetKind(), object.GetName(), err)
		}
		if object.GetKind() != "StatefulSet" {
			continue
		}
		if err := s.injected(ctx, object); err != nil {
			return "", err
		}
	}
	return fmt.Sprintf("%d objects", len(objects)), nil
}

// injected looks at the first pod of a StatefulSet as istiod has it run: with our image, and with what makes it an edge.
func (s *Suite) injected(ctx context.Context, set *unstructured.Unstructured) error {
	template, _, err := unstructured.NestedMap(set.Object, "spec", "template")
	if err != nil {
		return err
	}
	pod := &unstructured.Unstructured{Object: template}
	pod.SetAPIVersion("v1")
	pod.SetKind("Pod")
	pod.SetName(set.GetName() + "-0")
	pod.SetNamespace(set.GetNamespace())
	volumes, _, err := unstructured.NestedSlice(template, "spec", "volumes")
	if err != nil {
		return err
	}
	// What a controller does for each claim.
	claim := map[string]any{"name": "state", "persistentVolumeClaim": map[string]any{"claimName": "state-" + pod.GetName()}}
	if err := unstructured.SetNestedSlice(pod.Object, append(volumes, claim), "spec", "volumes"); err != nil {
		return err
	}
	made, err := s.clients.DryRun(ctx, pod)
	if err != nil {
		return fmt.Errorf("its pod: %w", err)
	}
	containers, _, err := unstructured.NestedSlice(made.Object, "spec", "containers")
	if err != nil {
		return err
	}
	if len(containers) != 1 {
		return fmt.Errorf("%d containers", len(containers))
	}
	container, _ := containers[0].(map[string]any)
	arguments, _, err := unstructured.NestedStringSlice(container, "args")
	if err != nil {
		return err
	}
	image, wanted := container["image"], made.GetAnnotations()["sidecar.istio.io/proxyImage"]
	if image != wanted || !slices.Contains(arguments, "--state=/var/lib/selvedge/edge") || !slices.Contains(arguments, "router") {
		return fmt.Errorf("istiod makes of it: image %v, args %q", image, arguments)
	}
	return nil
}

package cluster

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"selvedge.dev/conformance/kubelet"
)

// systemNamespace is Istio's root namespace.
const systemNamespace = "istio-system"

// istioObjects renders Istio's own charts for the profile. istiod runs as a process of the node, so
// its Deployment and what scales it are left out, and its Service points at the node.
func (c *Cluster) istioObjects(profile *Profile) ([]*unstructured.Unstructured, error) {
	values, err := c.writeValues(profile)
	if err != nil {
		return nil, err
	}
	var stderr bytes.Buffer
	command := exec.Command(c.Program("istioctl"), "manifest", "generate", "-f", values)
	command.Stderr = &stderr
	manifests, err := command.Output()
	if err != nil {
		return nil, fmt.Errorf("istioctl manifest generate: %w: %s", err, stderr.Bytes())
	}
	rendered, err := ParseObjects(manifests)
	if err != nil {
		return nil, err
	}
	objects := []*unstructured.Unstructured{namespaceObject(systemNamespace)}
	for _, object := range rendered {
		switch {
		case object.GetKind() == "Deployment", object.GetKind() == "PodDisruptionBudget", object.GetKind() == "HorizontalPodAutoscaler":
			continue
		case object.GetKind() == "Service" && object.GetName() == "istiod":
			slice, err := EndpointsAt(object, kubelet.NodeIP)
			if err != nil {
				return nil, err
			}
			unstructured.RemoveNestedField(object.Object, "spec", "selector")
			objects = append(objects, slice)
		}
		objects = append(objects, object)
	}
	return objects, nil
}

func (c *Cluster) writeValues(profile *Profile) (string, error) {
	operator := map[string]any{
		"apiVersion": "install.istio.io/v1alpha1",
		"kind":       "IstioOperator",
		"spec": map[string]any{
			// The hub and tag only reach the pods' image names, which the kubelet maps to programs.
			"profile": "minimal", "hub": "selvedge", "tag": "test",
			"meshConfig": profile.MeshConfig,
			"values":     map[string]any{"pilot": map[string]any{"autoscaleEnabled": false}},
		},
	}
	data, err := yaml.Marshal(operator)
	if err != nil {
		return "", err
	}
	path := filepath.Join(c.RunDir(), "istio-values.yaml")
	return path, os.WriteFile(path, data, 0o644)
}

// EndpointsAt makes the EndpointSlice that sends the ports of a Service without selector to an address.
func EndpointsAt(service *unstructured.Unstructured, address string) (*unstructured.Unstructured, error) {
	servicePorts, found, err := unstructured.NestedSlice(service.Object, "spec", "ports")
	if err != nil || !found {
		return nil, fmt.Errorf("service %s: ports: %v", service.GetName(), err)
	}
	var ports []any
	for _, item := range servicePorts {
		port, ok := item.(map[string]any)
		if !ok {
			return nil, fmt.Errorf("service %s: odd port %v", service.GetName(), item)
		}
		number := port["port"]
		if target, ok := port["targetPort"].(int64); ok {
			number = target
		}
		ports = append(ports, map[string]any{"name": port["name"], "port": number, "protocol": "TCP"})
	}
	return &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
		"metadata": map[string]any{
			"name": service.GetName() + "-fixed", "namespace": service.GetNamespace(),
			"labels": map[string]any{"kubernetes.io/service-name": service.GetName()},
		},
		"addressType": "IPv4",
		"endpoints":   []any{map[string]any{"addresses": []any{address}, "conditions": map[string]any{"ready": true}}},
		"ports":       ports,
	}}, nil
}

func namespaceObject(name string) *unstructured.Unstructured {
	return &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "v1", "kind": "Namespace", "metadata": map[string]any{"name": name},
	}}
}

package differential

import (
	"fmt"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"selvedge.dev/conformance/certificate"
)

// gatewayService is what Gateway API's Gateways name as their address: it selects both gateways.
const gatewayService = "edge"

// Prepare makes of a scenario's objects what the API server takes: Certificates become Secrets, and
// Gateways of the Gateway API name the gateways' Service as their address.
func Prepare(objects []*unstructured.Unstructured, authorities certificate.Authorities) ([]*unstructured.Unstructured, error) {
	var prepared []*unstructured.Unstructured
	for _, object := range objects {
		switch {
		case object.GetKind() == certificate.Kind:
			secret, err := authorities.Secret(object)
			if err != nil {
				return nil, err
			}
			object = secret
		case isGatewayAPI(object):
			address := map[string]any{"type": "Hostname", "value": gatewayService + "." + Namespace + ".svc.cluster.local"}
			if err := unstructured.SetNestedSlice(object.Object, []any{address}, "spec", "addresses"); err != nil {
				return nil, err
			}
		}
		prepared = append(prepared, object)
	}
	return prepared, nil
}

func isGatewayAPI(object *unstructured.Unstructured) bool {
	return object.GetKind() == "Gateway" && object.GroupVersionKind().Group == "gateway.networking.k8s.io"
}

// GatewayService is the Service of the gateways labelled istio: edge with the ports of all Gateway API
// listeners: istiod binds such a Gateway to pods through a Service, port by port. Nil if there are none.
func GatewayService(objects []*unstructured.Unstructured) *unstructured.Unstructured {
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

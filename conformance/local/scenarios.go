package local

import (
	"fmt"
	"os"
	"path/filepath"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"selvedge.dev/conformance/certificate"
	"selvedge.dev/conformance/cluster"
	"selvedge.dev/conformance/differential"
)

// scenariosName is the folder made of the scenarios of the differential suite.
const scenariosName = "scenarios"

// excluded are scenarios with objects that the gateway refuses in a folder, each with the reason. Any
// other scenario that it refuses is a failure.
var excluded = map[string]string{
	"access-log-http2":         noEnvoyFilter,
	"access-log-operators":     noEnvoyFilter,
	"connect-tunnel":           noEnvoyFilter,
	"extended-connect-allowed": noEnvoyFilter,
	"extension-discovery":      noEnvoyFilter,
	"gateway-api-grpc-filters": noGRPCRoute,
	"gateway-api-grpc-matches": noGRPCRoute,
	"gateway-api-grpc-tls":     noGRPCRoute,
	"grpc-faults":              "faults are not supported yet",
	"h2-listener-settings":     noEnvoyFilter,
	"wasm-plugin":              "a folder takes no WasmPlugins (docs/configure.md)",
}

const (
	noEnvoyFilter = "a folder takes no EnvoyFilters (docs/configure.md)"
	noGRPCRoute   = "a folder takes no GRPCRoutes (docs/configure.md)"
)

// Skipped is an excluded scenario.
type Skipped struct{ Scenario, Reason string }

// scenarioFolder puts all scenarios into one folder, with the Gateways and Services that they share.
func scenarioFolder(conformance string, authorities certificate.Authorities) (*Folder, []Skipped, error) {
	suite := filepath.Join(conformance, "differential")
	scenarios, err := differential.LoadScenarios(filepath.Join(suite, "scenarios"), nil)
	if err != nil {
		return nil, nil, err
	}
	shared, err := sharedObjects(filepath.Join(suite, "base"))
	if err != nil {
		return nil, nil, err
	}
	folder := &Folder{Name: scenariosName, Gateway: edge, Objects: shared}
	var skipped []Skipped
	for _, scenario := range scenarios {
		if reason, left := excluded[scenario.Name]; left {
			skipped = append(skipped, Skipped{scenario.Name, reason})
			continue
		}
		objects, err := differential.Prepare(scenario.Objects, authorities)
		if err != nil {
			return nil, nil, fmt.Errorf("scenario %s: %w", scenario.Name, err)
		}
		folder.Objects = append(folder.Objects, objects...)
	}
	return folder, skipped, nil
}

// sharedObjects are the Gateways and the backends of the differential suite. The backends have no pods
// here: their Services get addresses of their own, which both sides know.
func sharedObjects(base string) ([]*unstructured.Unstructured, error) {
	var shared []*unstructured.Unstructured
	for _, name := range []string{"3-shared.yaml", "4-backends.yaml"} {
		data, err := os.ReadFile(filepath.Join(base, name))
		if err != nil {
			return nil, err
		}
		objects, err := cluster.ParseObjects(data)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		for _, object := range objects {
			switch object.GetKind() {
			case "Gateway", "DestinationRule":
				shared = append(shared, object)
			case "Service":
				unstructured.RemoveNestedField(object.Object, "spec", "selector")
				slice, err := cluster.EndpointsAt(object, fmt.Sprintf("192.0.2.%d", len(shared)))
				if err != nil {
					return nil, err
				}
				shared = append(shared, object, slice)
			}
		}
	}
	return shared, nil
}

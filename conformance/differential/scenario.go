// Package differential sends the same requests to two gateways that the same istiod configures, a
// real Envoy and the gateway under test, and lists where their answers differ.
package differential

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"selvedge.dev/conformance/cluster"
)

// Scenario is one folder: a piece of configuration and the requests that show what it does.
type Scenario struct {
	// Name is the folder's name; the scenario owns the hosts <name>.test and *.<name>.test.
	Name string
	// Objects are those of config.yaml.
	Objects []*unstructured.Unstructured
	// Requests are those of requests.yaml, in the order in which they are sent.
	Requests []Request
}

// LoadScenarios reads the folders of a directory that carry one of the names; all of them without names.
func LoadScenarios(directory string, names []string) ([]*Scenario, error) {
	if len(names) == 0 {
		entries, err := os.ReadDir(directory)
		if err != nil {
			return nil, err
		}
		for _, entry := range entries {
			if entry.IsDir() {
				names = append(names, entry.Name())
			}
		}
	}
	var scenarios []*Scenario
	for _, name := range names {
		scenario, err := loadScenario(filepath.Join(directory, name))
		if err != nil {
			return nil, fmt.Errorf("scenario %s: %w", name, err)
		}
		scenarios = append(scenarios, scenario)
	}
	return scenarios, checkNames(scenarios)
}

func loadScenario(folder string) (*Scenario, error) {
	scenario := &Scenario{Name: filepath.Base(folder)}
	config, err := os.ReadFile(filepath.Join(folder, "config.yaml"))
	if err != nil {
		return nil, err
	}
	if scenario.Objects, err = cluster.ParseObjects(config); err != nil {
		return nil, fmt.Errorf("config.yaml: %w", err)
	}
	for _, object := range scenario.Objects {
		if object.GetNamespace() == "" {
			object.SetNamespace(Namespace)
		}
	}
	text, err := os.ReadFile(filepath.Join(folder, "requests.yaml"))
	if err != nil {
		return nil, err
	}
	var file struct {
		Requests []Request `json:"requests"`
	}
	if err := yaml.UnmarshalStrict(text, &file); err != nil {
		return nil, fmt.Errorf("requests.yaml: %w", err)
	}
	scenario.Requests = file.Requests
	if len(file.Requests) == 0 {
		return nil, errors.New("requests.yaml: no requests")
	}
	for i := range scenario.Requests {
		request := &scenario.Requests[i]
		if err := request.check(); err != nil {
			return nil, fmt.Errorf("requests.yaml: request %d (%s): %w", i+1, request.Name, err)
		}
		request.fillIn(scenario.Name)
	}
	return scenario, nil
}

// checkNames refuses two scenarios that define the same object: all share one namespace.
func checkNames(scenarios []*Scenario) error {
	owners := map[string]string{}
	for _, scenario := range scenarios {
		for _, object := range scenario.Objects {
			key := object.GroupVersionKind().GroupKind().String() + " " + object.GetNamespace() + "/" + object.GetName()
			if owner, taken := owners[key]; taken {
				return fmt.Errorf("scenarios %s and %s both define %s", owner, scenario.Name, key)
			}
			owners[key] = scenario.Name
		}
	}
	return nil
}

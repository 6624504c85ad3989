package local

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"selvedge.dev/conformance/cluster"
	"selvedge.dev/conformance/differential"
)

// Folder is what both sides get.
type Folder struct {
	// Name tells folders apart: "istiod/http", "examples/shop".
	Name string
	// Path is where the YAML is.
	Path string
	// Gateway is the value of the label "istio" of the gateway that is compared.
	Gateway string
	// Golden is the committed file of what istiod made of it; empty if there is none.
	Golden string
	// Objects are those of the files.
	Objects []*unstructured.Unstructured
}

// The gateways of gateway.yaml, by the value of their label "istio".
const (
	edge           = "edge"
	ingressgateway = "ingressgateway"
	// scenariosName is the folder made of the scenarios of the differential suite.
	scenariosName = "scenarios"
)

// committedFolders are those of the project that hold YAML for selvedge run.
func committedFolders(project string) ([]*Folder, error) {
	var folders []*Folder
	golden, err := filepath.Glob(filepath.Join(project, "xds", "local", "tests", "istiod", "*", "config"))
	if err != nil {
		return nil, err
	}
	for _, path := range golden {
		folder := filepath.Dir(path)
		folders = append(folders, &Folder{
			Name: "istiod/" + filepath.Base(folder), Path: path, Gateway: edge, Golden: filepath.Join(folder, "resources.json"),
		})
	}
	examples, err := filepath.Glob(filepath.Join(project, "examples", "*"))
	if err != nil {
		return nil, err
	}
	for _, path := range examples {
		folders = append(folders, &Folder{Name: "examples/" + filepath.Base(path), Path: path, Gateway: ingressgateway})
	}
	if len(golden) == 0 || len(examples) == 0 {
		return nil, fmt.Errorf("%s holds %d folders of xds/local/tests/istiod and %d of examples", project, len(golden), len(examples))
	}
	for _, folder := range folders {
		if folder.Objects, err = readFolder(folder.Path); err != nil {
			return nil, err
		}
	}
	return folders, nil
}

// readFolder reads the objects of all YAML files of a folder.
func readFolder(path string) ([]*unstructured.Unstructured, error) {
	var all []*unstructured.Unstructured
	err := filepath.WalkDir(path, func(file string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || filepath.Ext(file) != ".yaml" {
			return err
		}
		data, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		objects, err := cluster.ParseObjects(data)
		if err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
		all = append(all, objects...)
		return nil
	})
	return all, err
}

// scenarioFolder writes the scenarios that the gateway takes from a folder into one folder, with the
// Gateways and Services that all scenarios share. The others are returned with the first thing that is
// said about them.
func (s *Suite) scenarioFolder(scenarios []*differential.Scenario) (*Folder, []Skipped, error) {
	shared, err := s.sharedObjects()
	if err != nil {
		return nil, nil, err
	}
	folder := &Folder{Name: scenariosName, Path: filepath.Join(s.Cluster.RunDir(), scenariosName), Gateway: edge, Objects: shared}
	if err := os.RemoveAll(folder.Path); err != nil {
		return nil, nil, err
	}
	if err := writeObjects(filepath.Join(folder.Path, "shared.yaml"), shared); err != nil {
		return nil, nil, err
	}
	objects := map[string][]*unstructured.Unstructured{}
	for _, scenario := range scenarios {
		if objects[scenario.Name], err = differential.Prepare(scenario.Objects, s.authorities); err != nil {
			return nil, nil, fmt.Errorf("scenario %s: %w", scenario.Name, err)
		}
		if err := writeObjects(filepath.Join(folder.Path, scenario.Name+".yaml"), objects[scenario.Name]); err != nil {
			return nil, nil, err
		}
	}
	skipped, err := s.removeRefused(folder, objects)
	if err != nil {
		return nil, nil, err
	}
	for _, name := range sortedNames(objects) {
		folder.Objects = append(folder.Objects, objects[name]...)
	}
	return folder, skipped, nil
}

// removeRefused takes the scenarios out of the folder, and of the objects, that the gateway refuses.
func (s *Suite) removeRefused(folder *Folder, objects map[string][]*unstructured.Unstructured) ([]Skipped, error) {
	var skipped []Skipped
	for {
		_, refused, err := s.validate(folder.Path, folder.Gateway)
		if err != nil || refused == "" {
			return skipped, err
		}
		name, _, _ := strings.Cut(refused, ".yaml:")
		if _, known := objects[name]; !known {
			return nil, fmt.Errorf("the scenarios as a folder: %s", refused)
		}
		delete(objects, name)
		skipped = append(skipped, Skipped{name, refused})
		if err := os.Remove(filepath.Join(folder.Path, name+".yaml")); err != nil {
			return nil, err
		}
	}
}

// sharedObjects are the Gateways and the backends of the differential suite. The backends have no pods
// here: their Services get addresses of their own, which both sides know.
func (s *Suite) sharedObjects() ([]*unstructured.Unstructured, error) {
	var shared []*unstructured.Unstructured
	base := filepath.Join(s.Cluster.Root, "differential", "base")
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

func writeObjects(file string, objects []*unstructured.Unstructured) error {
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return err
	}
	var documents strings.Builder
	for _, object := range objects {
		data, err := yaml.Marshal(object.Object)
		if err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
		documents.WriteString("---\n" + string(data))
	}
	return os.WriteFile(file, []byte(documents.String()), 0o644)
}

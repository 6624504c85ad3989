package local

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"selvedge.dev/conformance/cluster"
)

// Folder is what both sides get.
type Folder struct {
	// Name tells folders apart: "istiod/http", "examples/shop".
	Name string
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
)

// committedFolders are those of the project that hold YAML for selvedge run.
func committedFolders(project string) ([]*Folder, error) {
	var folders []*Folder
	add := func(name, path, gateway, golden string) error {
		objects, err := readFolder(path)
		folders = append(folders, &Folder{Name: name, Gateway: gateway, Golden: golden, Objects: objects})
		return err
	}
	golden, err := filepath.Glob(filepath.Join(project, "xds", "local", "tests", "istiod", "*", "config"))
	if err != nil {
		return nil, err
	}
	for _, path := range golden {
		folder := filepath.Dir(path)
		if err := add("istiod/"+filepath.Base(folder), path, edge, filepath.Join(folder, "resources.json")); err != nil {
			return nil, err
		}
	}
	examples, err := filepath.Glob(filepath.Join(project, "examples", "*"))
	if err != nil {
		return nil, err
	}
	for _, path := range examples {
		// Objects of a cluster whose gateway has istiod: nobody serves them as a folder. conformance/mesh looks at them.
		if filepath.Base(path) == "overlay" {
			continue
		}
		if err := add("examples/"+filepath.Base(path), path, ingressgateway, ""); err != nil {
			return nil, err
		}
	}
	if len(golden) == 0 || len(examples) == 0 {
		return nil, fmt.Errorf("%s holds %d folders of xds/local/tests/istiod and %d of examples", project, len(golden), len(examples))
	}
	return folders, nil
}

// folderAt is any folder of YAML. Its Gateways are made those of the gateway "edge", whichever they were written for.
func folderAt(path string) (*Folder, error) {
	objects, err := readFolder(path)
	if err != nil {
		return nil, err
	}
	for _, object := range objects {
		if err := adopt(object); err != nil {
			return nil, fmt.Errorf("%s: %s %s: %w", path, object.GetKind(), object.GetName(), err)
		}
	}
	return &Folder{Name: filepath.Base(path), Gateway: edge, Objects: objects}, nil
}

// adopt binds a Gateway to the gateway "edge": Istio's by its label, that of the Gateway API by its Service.
func adopt(object *unstructured.Unstructured) error {
	if object.GetKind() != "Gateway" {
		return nil
	}
	if object.GroupVersionKind().Group == "networking.istio.io" {
		return unstructured.SetNestedStringMap(object.Object, map[string]string{"istio": edge}, "spec", "selector")
	}
	address := map[string]any{"type": "Hostname", "value": "edge.edge.svc.cluster.local"}
	return unstructured.SetNestedSlice(object.Object, []any{address}, "spec", "addresses")
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

// write puts the objects into a folder, each into a file that has its name.
func write(path string, objects []*unstructured.Unstructured) error {
	if err := os.RemoveAll(path); err != nil {
		return err
	}
	if err := os.MkdirAll(path, 0o755); err != nil {
		return err
	}
	for _, object := range objects {
		data, err := yaml.Marshal(object.Object)
		if err != nil {
			return fmt.Errorf("%s %s: %w", object.GetKind(), object.GetName(), err)
		}
		name := fmt.Sprintf("%s-%s-%s.yaml", object.GroupVersionKind().GroupKind(), object.GetNamespace(), object.GetName())
		if err := os.WriteFile(filepath.Join(path, name), data, 0o644); err != nil {
			return err
		}
	}
	return nil
}

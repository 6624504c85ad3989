package local

import (
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"selvedge.dev/conformance/cluster"
)

func TestCommittedFoldersAreFound(t *testing.T) {
	folders, err := committedFolders(filepath.Join("..", ".."))
	if err != nil {
		t.Fatal(err)
	}
	for _, folder := range folders {
		if len(folder.Objects) == 0 {
			t.Errorf("%s has no objects", folder.Name)
		}
	}
	if _, err := committedFolders(t.TempDir()); err == nil {
		t.Error("a project without folders is accepted")
	}
}

func TestSharedBackendsHaveAddressesAndNoPods(t *testing.T) {
	objects, err := sharedObjects(filepath.Join("..", "differential", "base"))
	if err != nil {
		t.Fatal(err)
	}
	kinds := map[string]int{}
	for _, object := range objects {
		kinds[object.GetKind()]++
		if spec, ok := object.Object["spec"].(map[string]any); ok && object.GetKind() == "Service" && spec["selector"] != nil {
			t.Errorf("%s has a selector", object.GetName())
		}
	}
	if kinds["Service"] == 0 || kinds["EndpointSlice"] != kinds["Service"] || kinds["Deployment"] != 0 || kinds["Gateway"] == 0 {
		t.Errorf("%v", kinds)
	}
}

func TestNamespacesComeFirst(t *testing.T) {
	objects, err := cluster.ParseObjects([]byte("{kind: A, metadata: {name: x, namespace: a}}\n---\n{kind: A, metadata: {name: x, namespace: b}}\n---\n{kind: Namespace, metadata: {name: a}}\n"))
	if err != nil {
		t.Fatal(err)
	}
	namespaces, others := splitNamespaces(objects)
	if len(namespaces) != 2 || namespaces[0].GetName() != "a" || namespaces[1].GetName() != "b" || len(others) != 2 {
		t.Errorf("%v %v", namespaces, others)
	}
}

func TestObjectsOfTwoSecondsAreNoticed(t *testing.T) {
	objects, err := cluster.ParseObjects([]byte("{kind: A, metadata: {name: a}}\n---\n{kind: A, metadata: {name: b}}\n"))
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	objects[0].SetCreationTimestamp(metav1.NewTime(now))
	objects[1].SetCreationTimestamp(metav1.NewTime(now))
	if !areOfOneSecond(objects) {
		t.Error("objects of one second are not")
	}
	objects[1].SetCreationTimestamp(metav1.NewTime(now.Add(time.Second)))
	if areOfOneSecond(objects) {
		t.Error("objects of two seconds are of one")
	}
}

func TestEveryObjectHasAFile(t *testing.T) {
	objects, err := cluster.ParseObjects([]byte("{apiVersion: a.b/v1, kind: A, metadata: {name: a, namespace: x}}\n---\n{apiVersion: c.d/v1, kind: A, metadata: {name: a, namespace: x}}\n"))
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "folder")
	for range 2 {
		if err := write(path, objects); err != nil {
			t.Fatal(err)
		}
		if read, err := readFolder(path); err != nil || len(read) != 2 {
			t.Errorf("%v %v", read, err)
		}
	}
}

func TestTheFirstErrorIsTheReason(t *testing.T) {
	said := "a.yaml:1: warning: x\na.yaml:2: spec: is not supported yet\n2 errors\n"
	if got := firstError(said); got != "a.yaml:2: spec: is not supported yet" {
		t.Error(got)
	}
}

func TestADumpIsReadAndRecorded(t *testing.T) {
	dump := `[{"type_url": "type.googleapis.com/envoy.config.cluster.v3.Cluster", "name": "a<b",
		"resource": {"name": "a<b", "connect_timeout": "1s", "common_lb_config": {"healthy_panic_threshold": {"value": 30.0}}}}]`
	resources, err := parseDump([]byte(dump))
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "resources.json")
	if err := record(file, resources); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var golden map[string]map[string]map[string]any
	if err := json.Unmarshal(data, &golden); err != nil {
		t.Fatal(err)
	}
	want := map[string]any{
		"name": "a<b", "connect_timeout": "1s", "common_lb_config": map[string]any{"healthy_panic_threshold": map[string]any{"value": 30.0}},
	}
	if !reflect.DeepEqual(golden["Cluster"]["a<b"], want) {
		t.Errorf("%s", data)
	}
	if _, err := parseDump([]byte(`[{"type_url": "type.googleapis.com/unknown.Type", "name": "a", "resource": {}}]`)); err == nil {
		t.Error("an unknown type is accepted")
	}
}

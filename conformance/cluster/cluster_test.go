package cluster

import (
	"slices"
	"strings"
	"testing"
)

func TestNamesOfClusters(t *testing.T) {
	for _, name := range []string{"", "Upper", "a-b", "muchtoolonganame", "../x"} {
		if _, err := New(name); err == nil {
			t.Errorf("%q is accepted", name)
		}
	}
	if c, err := New("lab2"); err != nil || c.NodeNamespace() != "selvedge-lab2" {
		t.Errorf("%v %v", c, err)
	}
}

func TestEveryProfileLoads(t *testing.T) {
	files, err := profileFiles.ReadDir("profiles")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		profile, err := LoadProfile(strings.TrimSuffix(file.Name(), ".yaml"))
		if err != nil {
			t.Error(err)
			continue
		}
		if !slices.Contains(profile.istiodEnv(), "PILOT_ENABLE_ALPHA_GATEWAY_API=true") {
			t.Errorf("%s: %v", file.Name(), profile.istiodEnv())
		}
	}
	if _, err := LoadProfile("unknown"); err == nil {
		t.Error("an unknown profile is accepted")
	}
}

func TestObjectsAreParsed(t *testing.T) {
	objects, err := ParseObjects([]byte("# comment\n---\nkind: A\nmetadata: {name: a}\n---\n---\nkind: B\nmetadata: {name: b}\n"))
	if err != nil || len(objects) != 2 || objects[1].GetName() != "b" {
		t.Errorf("%v %v", objects, err)
	}
	for _, text := range []string{"metadata: {name: a}\n", "kind: A\n", "a: [\n"} {
		if _, err := ParseObjects([]byte(text)); err == nil {
			t.Errorf("%q is accepted", text)
		}
	}
}

func TestAServiceIsGivenAnAddress(t *testing.T) {
	objects, err := ParseObjects([]byte("kind: Service\nmetadata: {name: istiod, namespace: n}\nspec: {ports: [{name: a, port: 15010}, {name: b, port: 443, targetPort: 15017}]}\n"))
	if err != nil {
		t.Fatal(err)
	}
	slice, err := EndpointsAt(objects[0], "10.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	var numbers []any
	for _, port := range slice.Object["ports"].([]any) {
		numbers = append(numbers, port.(map[string]any)["port"])
	}
	if !slices.Equal(numbers, []any{int64(15010), int64(15017)}) {
		t.Errorf("%v", numbers)
	}
}

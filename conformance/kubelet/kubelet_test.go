package kubelet

import (
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func TestTheFirstProgramThatFitsRuns(t *testing.T) {
	path := filepath.Join(t.TempDir(), "programs.json")
	text := `{"programs": [
		{"image": "proxyv2", "labels": {"flavour": "envoy"}, "argv": ["/envoy"]},
		{"image": "proxyv2", "argv": ["/selvedge"]}]}`
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	config, err := LoadConfig(path)
	if err != nil {
		t.Fatal(err)
	}
	if got := config.program("hub/proxyv2:1", map[string]string{"flavour": "envoy"}).Argv[0]; got != "/envoy" {
		t.Error(got)
	}
	if got := config.program("hub/proxyv2:1", nil).Argv[0]; got != "/selvedge" {
		t.Error(got)
	}
	if config.program("other", nil) != nil {
		t.Error("a program runs for an unknown image")
	}
}

func TestABrokenTableIsRefused(t *testing.T) {
	for _, text := range []string{`{`, `{"programs": [{"image": "(", "argv": ["a"]}]}`, `{"programs": [{"image": "a"}]}`} {
		path := filepath.Join(t.TempDir(), "programs.json")
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		if _, err := LoadConfig(path); err == nil {
			t.Errorf("%s is accepted", text)
		}
	}
}

func TestVariablesAreExpandedAsKubernetesDoes(t *testing.T) {
	e := &environment{values: map[string]string{}}
	e.set("A", "1")
	e.set("B", e.expand("$(A)2 $(UNKNOWN) $A"))
	e.set("A", "9")
	if got := strings.Join(e.list(), "|"); got != "A=9|B=12 $(UNKNOWN) $A" {
		t.Error(got)
	}
}

func TestTheDownwardAPI(t *testing.T) {
	p := &pod{network: network{address: "10.244.1.10"}, object: &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: "a", Namespace: "b", Labels: map[string]string{"x/y": "1", "k": "2"}},
		Spec:       corev1.PodSpec{ServiceAccountName: "c"},
	}}
	for path, want := range map[string]string{
		"metadata.name": "a", "metadata.namespace": "b", "status.podIP": "10.244.1.10", "spec.serviceAccountName": "c",
		"metadata.labels['x/y']": "1", "metadata.labels": "k=\"2\"\nx/y=\"1\"", "unknown": "",
	} {
		if got := p.field(path); got != want {
			t.Errorf("%s: %q, want %q", path, got, want)
		}
	}
}

func TestAnAddressLeadsBackToItsNamespace(t *testing.T) {
	seen := map[string]bool{}
	for _, number := range []int{0, 1, podsPerBlock - 1, podsPerBlock, 3*podsPerBlock + 7} {
		n := podNetwork("node", number)
		if seen[n.address] {
			t.Errorf("%s is given twice", n.address)
		}
		seen[n.address] = true
		if got, err := PodNamespace("node", n.address); err != nil || got != n.namespace {
			t.Errorf("%s: %q, %v, want %q", n.address, got, err, n.namespace)
		}
	}
	if _, err := PodNamespace("node", "10.0.0.1"); err == nil {
		t.Error("any address is a pod's")
	}
}

func TestKeysOfAVolume(t *testing.T) {
	directory := t.TempDir()
	data := map[string][]byte{"a": []byte("1"), "b": []byte("2")}
	if err := writeKeys(directory, []corev1.KeyToPath{{Key: "a", Path: "deep/name"}}, data); err != nil {
		t.Fatal(err)
	}
	if text, err := os.ReadFile(filepath.Join(directory, "deep", "name")); err != nil || string(text) != "1" {
		t.Errorf("%q %v", text, err)
	}
	if _, err := os.Stat(filepath.Join(directory, "b")); err == nil {
		t.Error("a key is written that no item names")
	}
}

func TestLogsAreStampedAndFiltered(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	file, err := openLog(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, part := range []string{"one\ntw", "o\nthree\n", "unfinished"} {
		if _, err := file.Write([]byte(part)); err != nil {
			t.Fatal(err)
		}
	}
	file.Close()
	lines, err := readLog(path, url.Values{"tailLines": {"2"}})
	if err != nil || strings.Join(lines, "|") != "two|three" {
		t.Errorf("%q %v", lines, err)
	}
	if lines, err = readLog(path, url.Values{"sinceTime": {"2999-01-01T00:00:00Z"}}); err != nil || len(lines) != 0 {
		t.Errorf("%q %v", lines, err)
	}
}

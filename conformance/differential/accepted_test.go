package differential

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func accepted(t *testing.T, text string) ([]*Accepted, error) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "differences.md")
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return LoadAccepted(path)
}

const oneRow = "# Title\n\n| scenario | request | field | reason |\n|---|---|---|---|\n| `a` | `b*` | `header x` | safer |\n"

func TestTheListOfTheProjectLoads(t *testing.T) {
	if _, err := LoadAccepted("../differences.md"); err != nil {
		t.Error(err)
	}
}

func TestARowAcceptsWhatItNames(t *testing.T) {
	rows, err := accepted(t, oneRow)
	if err != nil {
		t.Fatal(err)
	}
	differences := []Difference{
		{Scenario: "a", Request: "bc", Field: "header x"},
		{Scenario: "a", Request: "c", Field: "header x"},
		{Scenario: "a", Request: "bc", Field: "header y"},
	}
	accept(differences, rows)
	if differences[0].Reason != "safer" || differences[1].Reason != "" || differences[2].Reason != "" {
		t.Errorf("%+v", differences)
	}
}

func TestARowThatAcceptsNothingIsStale(t *testing.T) {
	rows, err := accepted(t, oneRow)
	if err != nil {
		t.Fatal(err)
	}
	if got := stale(rows, []*Scenario{{Name: "other"}}); len(got) != 0 {
		t.Error("stale although its scenario did not run")
	}
	if got := stale(rows, []*Scenario{{Name: "a"}}); len(got) != 1 {
		t.Error("not stale although its scenario ran without that difference")
	}
}

func TestABrokenRowIsRefused(t *testing.T) {
	for _, row := range []string{"| `a` | `b` | reason |\n", "| `a` | `b` | `c` | |\n"} {
		if _, err := accepted(t, row); err == nil || !strings.Contains(err.Error(), "differences.md:1") {
			t.Errorf("%q: error %v", row, err)
		}
	}
}

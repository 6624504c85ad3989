package gate

import (
	"io"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestReadProfile(t *testing.T) {
	const text = `events: Ir
fl=(1)
fn=(1) main
5 100
cfn=(2) malloc
calls=3 0
5 30
cfn=(3) free
calls=7 0
5 30
fn=(4) other
cfn=(2)
calls=2 0
6 20
cfn=(5) realloc@@GLIBC_2.2.5
calls=1 0
6 20
totals: 123456
`
	file := filepath.Join(t.TempDir(), "callgrind")
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	got, err := readProfile(file)
	if err != nil || got.instructions != 123456 || got.allocations() != 6 {
		t.Errorf("got %+v, %v", got, err)
	}
	if got.own["main"] != 100 || got.own["other"] != 0 || got.busiest(countedRequests)[0] != (Function{"main", 0.1}) {
		t.Errorf("own instructions: %v, busiest %v", got.own, got.busiest(countedRequests))
	}
	if path := got.allocatingPath(); path != "malloc\n  called by main" {
		t.Errorf("path: %s", path)
	}
}

func TestParseTable(t *testing.T) {
	counts, err := parseTable(`strace: Process 1 attached with 3 threads
% time     seconds  usecs/call     calls    errors syscall
------ ----------- ----------- --------- --------- ----------------
 60.00    0.100000           1       400           sendto
 30.00    0.100000           1       410        10 recvfrom
 10.00    0.100000           1         6           epoll_ctl
------ ----------- ----------- --------- --------- ----------------
100.00    0.300000           1       816        10 total
`)
	if err != nil {
		t.Fatal(err)
	}
	got := perRequest(counts, 200)
	if math.Abs(got.total-4.08) > 1e-9 || math.Abs(got.epollControl-0.03) > 1e-9 || got.detail != "recvfrom 2.05, sendto 2.00, epoll_ctl 0.03" {
		t.Errorf("got %+v", got)
	}
	if _, err := parseTable("strace: attach: Operation not permitted"); err == nil {
		t.Error("an empty table passes")
	}
}

func TestGrowthBeyondTheReferenceFails(t *testing.T) {
	known := Counts{Instructions: 10000, Allocations: 2, SystemCalls: 4}
	for name, c := range map[string]struct {
		seen  Counts
		grown int
		falls bool
	}{
		"the same":                    {seen: known},
		"within what does not repeat": {seen: Counts{10200, 2.04, 4.09}},
		"more instructions":           {seen: Counts{10201, 2, 4}, grown: 1},
		"more allocations":            {seen: Counts{10000, 2.06, 4}, grown: 1},
		"more system calls":           {seen: Counts{10000, 2, 4.1}, grown: 1},
		"more of everything":          {seen: Counts{20000, 3, 5}, grown: 3},
		"fewer instructions":          {seen: Counts{9500, 2, 4}, falls: true},
		"fewer allocations":           {seen: Counts{10000, 1.9, 4}, falls: true},
	} {
		if grown := c.seen.exceeds(known); len(grown) != c.grown || c.seen.falls(known) != c.falls {
			t.Errorf("%s: %v, falls %t", name, grown, c.seen.falls(known))
		}
	}
}

func TestJudge(t *testing.T) {
	good := Result{Name: "h1-h1", Title: "HTTP/1", Counts: Counts{Instructions: 8000, SystemCalls: 4}}
	reference := map[string]Counts{"h1-h1": {Instructions: 8000, SystemCalls: 4}}
	if err := judge([]Result{good}, reference, io.Discard); err != nil {
		t.Error(err)
	}
	unknown := good
	unknown.Name, unknown.Title = "h9-h9", "HTTP/9"
	allocating := good
	allocating.Allocations = 0.01
	for want, bad := range map[string]Result{"HTTP/9: the reference has no counts": unknown, "allocates 0.01 times": allocating} {
		if err := judge([]Result{bad}, reference, io.Discard); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
		}
	}
}

func TestReferenceIsReadAsItWasWritten(t *testing.T) {
	file := filepath.Join(t.TempDir(), "reference.json")
	if err := writeReference(file, map[string]Counts{"grpc": {1234.4, 3.02, 0.204}}); err != nil {
		t.Fatal(err)
	}
	got, err := readReference(file)
	if want := (Counts{1234, 3, 0.2}); err != nil || got["grpc"] != want {
		t.Errorf("got %v, %v", got, err)
	}
}

func TestEveryPairHasAReference(t *testing.T) {
	reference, err := readReference("../reference.json")
	if err != nil {
		t.Fatal(err)
	}
	for _, pair := range pairs() {
		if reference[pair.name].Instructions == 0 {
			t.Errorf("%s has none", pair.name)
		}
	}
}

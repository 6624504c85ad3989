package gate

import (
	"math"
	"os"
	"path/filepath"
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

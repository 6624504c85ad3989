package machine

import (
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

func TestProcessTimeCountsChildren(t *testing.T) {
	// The shell waits for ":", so that it does not become the loop itself.
	command := exec.Command("sh", "-c", "while :; do :; done; :")
	shell := exec.Command("sh", "-c", "sh -c 'while :; do :; done'; :")
	for _, c := range []*exec.Cmd{command, shell} {
		process, err := Start(c, t.TempDir()+"/out")
		if err != nil {
			t.Fatal(err)
		}
		err = process.Await(20*time.Second, 10*time.Millisecond, func() error {
			used, err := ProcessTime(process.PID())
			if err == nil && used < 50*time.Millisecond {
				err = os.ErrNotExist
			}
			return err
		})
		children, _ := tree(process.PID())
		for _, child := range children[1:] {
			if p, err := os.FindProcess(child); err == nil {
				_ = p.Kill()
			}
		}
		process.Stop()
		if err != nil {
			t.Errorf("%s: %v", c, err)
		}
	}
}

func TestProcessMemory(t *testing.T) {
	memory, err := ProcessMemory(os.Getpid())
	if err != nil || memory.RSS < 1000 || memory.PSS > memory.RSS {
		t.Errorf("got %+v, %v", memory, err)
	}
	if _, err := ProcessMemory(1 << 30); err == nil {
		t.Error("a process that does not exist has memory")
	}
}

func TestRequire(t *testing.T) {
	if err := Require("sh"); err != nil {
		t.Error(err)
	}
	t.Setenv("PATH", "")
	if err := Require("wrk", "callgrind_control"); err == nil || !strings.Contains(err.Error(), "apt-get install valgrind") {
		t.Errorf("got %v", err)
	}
}

func TestCoreTime(t *testing.T) {
	cores, err := CoreTime()
	if err != nil || len(cores) == 0 || cores[0] == 0 {
		t.Errorf("got %v, %v", cores, err)
	}
}

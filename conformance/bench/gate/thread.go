package gate

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// workerName is what Selvedge calls its first worker.
const workerName = "worker-0"

// workerThread finds the thread that serves requests. What the others do, such as looking at files every
// half second, depends on how long the counting takes.
func workerThread(pid int) (int, error) {
	files, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/comm", pid))
	if err != nil {
		return 0, err
	}
	for _, file := range files {
		name, err := os.ReadFile(file)
		if err != nil {
			return 0, err
		}
		if strings.TrimSpace(string(name)) == workerName {
			return strconv.Atoi(filepath.Base(filepath.Dir(file)))
		}
	}
	return 0, fmt.Errorf("process %d has no thread %s", pid, workerName)
}

// traced says whether a thread has a tracer.
func traced(thread int) error {
	file := fmt.Sprintf("/proc/%d/status", thread)
	data, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	if strings.Contains(string(data), "TracerPid:\t0\n") {
		return fmt.Errorf("%s: not traced yet", file)
	}
	return nil
}

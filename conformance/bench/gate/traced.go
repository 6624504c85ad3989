package gate

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// traced says whether every thread of a process has a tracer.
func traced(pid int) error {
	files, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/status", pid))
	if err != nil {
		return err
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		if strings.Contains(string(data), "TracerPid:\t0\n") {
			return fmt.Errorf("%s: not traced yet", file)
		}
	}
	return nil
}

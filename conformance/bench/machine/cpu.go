// Package machine reads what processes and the machine have used, and says what machine it is.
package machine

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// ProcessTime is the CPU time that a process, its threads and its children have used so far, from the
// scheduler's own nanoseconds. Threads that have ended are not counted.
func ProcessTime(pid int) (time.Duration, error) {
	processes, err := tree(pid)
	if err != nil {
		return 0, err
	}
	var total time.Duration
	for _, process := range processes {
		files, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", process))
		if err != nil {
			return 0, err
		}
		for _, file := range files {
			data, err := os.ReadFile(file)
			if err != nil {
				continue // The thread has just ended.
			}
			nanoseconds, err := strconv.ParseInt(firstField(string(data)), 10, 64)
			if err != nil {
				return 0, fmt.Errorf("%s: %w", file, err)
			}
			total += time.Duration(nanoseconds)
		}
	}
	return total, nil
}

// tree lists a process and everything below it.
func tree(pid int) ([]int, error) {
	if _, err := os.Stat(fmt.Sprintf("/proc/%d", pid)); err != nil {
		return nil, fmt.Errorf("process %d has ended", pid)
	}
	processes := []int{pid}
	for next := 0; next < len(processes); next++ {
		files, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", processes[next]))
		if err != nil {
			return nil, err
		}
		for _, file := range files {
			data, err := os.ReadFile(file)
			if err != nil {
				continue // The thread has just ended.
			}
			for _, field := range strings.Fields(string(data)) {
				child, err := strconv.Atoi(field)
				if err != nil {
					return nil, fmt.Errorf("%s: %w", file, err)
				}
				processes = append(processes, child)
			}
		}
	}
	return processes, nil
}

func firstField(text string) string {
	if fields := strings.Fields(text); len(fields) > 0 {
		return fields[0]
	}
	return ""
}

// CoreTime is how long each core has been busy since the machine started. The kernel counts it in
// hundredths of a second. Time stolen by the hypervisor is not counted.
func CoreTime() ([]time.Duration, error) {
	data, err := os.ReadFile("/proc/stat")
	if err != nil {
		return nil, err
	}
	var cores []time.Duration
	for line := range strings.Lines(string(data)) {
		fields := strings.Fields(line)
		if len(fields) < 8 || !strings.HasPrefix(fields[0], "cpu") || fields[0] == "cpu" {
			continue
		}
		var ticks int64
		for _, column := range []int{1, 2, 3, 6, 7} { // user, nice, system, irq, softirq
			value, err := strconv.ParseInt(fields[column], 10, 64)
			if err != nil {
				return nil, fmt.Errorf("/proc/stat: %w", err)
			}
			ticks += value
		}
		cores = append(cores, time.Duration(ticks)*10*time.Millisecond)
	}
	return cores, nil
}

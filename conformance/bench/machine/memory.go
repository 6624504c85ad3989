package machine

import (
	"fmt"
	"os"
	"strconv"
	"strings"
)

// Memory is what a process and its children hold, in KiB.
type Memory struct {
	// RSS counts every resident page of each process.
	RSS int64
	// PSS shares pages that several processes map among them.
	PSS int64
}

// ProcessMemory reads the memory of a process and its children.
func ProcessMemory(pid int) (Memory, error) {
	processes, err := tree(pid)
	if err != nil {
		return Memory{}, err
	}
	var total Memory
	for _, process := range processes {
		one, err := smaps(process)
		if err != nil {
			return Memory{}, err
		}
		total.RSS += one.RSS
		total.PSS += one.PSS
	}
	return total, nil
}

func smaps(pid int) (Memory, error) {
	file := fmt.Sprintf("/proc/%d/smaps_rollup", pid)
	data, err := os.ReadFile(file)
	if err != nil {
		return Memory{}, err
	}
	var memory Memory
	for line := range strings.Lines(string(data)) {
		fields := strings.Fields(line)
		if len(fields) < 2 {
			continue
		}
		target := map[string]*int64{"Rss:": &memory.RSS, "Pss:": &memory.PSS}[fields[0]]
		if target == nil {
			continue
		}
		if *target, err = strconv.ParseInt(fields[1], 10, 64); err != nil {
			return Memory{}, fmt.Errorf("%s: %w", file, err)
		}
	}
	return memory, nil
}

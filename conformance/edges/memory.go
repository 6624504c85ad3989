package edges

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"syscall"
)

// searchMemory counts texts in all of a process's memory that can be written, and says how much that is.
func searchMemory(pid int, texts ...string) (found map[string]int, searched int64, err error) {
	regions, err := os.ReadFile(fmt.Sprintf("/proc/%d/maps", pid))
	if err != nil {
		return nil, 0, err
	}
	memory, err := os.Open(fmt.Sprintf("/proc/%d/mem", pid))
	if err != nil {
		return nil, 0, err
	}
	defer func() { _ = memory.Close() }()
	found = map[string]int{}
	for line := range strings.Lines(string(regions)) {
		var first, end uint64
		var rights string
		if _, err := fmt.Sscanf(line, "%x-%x %s", &first, &end, &rights); err != nil {
			return nil, 0, fmt.Errorf("%q: %w", line, err)
		}
		if !strings.HasPrefix(rights, "rw") {
			continue
		}
		content, err := io.ReadAll(io.NewSectionReader(memory, int64(first), int64(end-first)))
		// The process goes on: a region may be gone by now.
		if err != nil && !errors.Is(err, syscall.EIO) {
			return nil, 0, err
		}
		searched += int64(len(content))
		for _, text := range texts {
			found[text] += bytes.Count(content, []byte(text))
		}
	}
	return found, searched, nil
}

package gate

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"selvedge.dev/conformance/bench/load"
	"selvedge.dev/conformance/bench/peer"
)

const (
	// warmUpRequests fill pools and caches before counting begins.
	warmUpRequests = 500
	// countedRequests follow on the same connection.
	countedRequests = 1000
	// longestPath is how many callers of an allocation are shown.
	longestPath = 12
)

// allocators are the C library's functions through which every allocation goes.
var allocators = map[string]bool{
	"malloc": true, "calloc": true, "realloc": true, "posix_memalign": true, "aligned_alloc": true, "memalign": true,
}

// work of one request.
type work struct {
	instructions, allocations float64
	// path is where most allocations come from.
	path string
}

// countWork sends requests of each pair over one connection, one at a time, to Selvedge under callgrind,
// and counts what those after the warm-up took.
func countWork(setup *peer.Setup, pairs []pair) (map[string]work, error) {
	process, err := startSelvedge(setup, "valgrind", "--tool=callgrind", "--separate-threads=yes", "--error-limit=no",
		"--callgrind-out-file="+filepath.Join(setup.Directory, "callgrind"))
	if err != nil {
		return nil, err
	}
	defer process.Stop()
	c := &callgrind{directory: setup.Directory, pid: process.PID()}
	results := map[string]work{}
	for _, pair := range pairs {
		if results[pair.name], err = c.count(pair); err != nil {
			return nil, fmt.Errorf("%s: %w\n%s", pair.name, err, process.Tail())
		}
	}
	return results, nil
}

// callgrind is a process under it, which has been made to write so many dumps.
type callgrind struct {
	directory  string
	pid, dumps int
}

func (c *callgrind) count(pair pair) (work, error) {
	open, err := load.Open(1, pair.target)
	if err != nil {
		return work{}, err
	}
	defer open.Close()
	if err := open.Request(warmUpRequests, 1, 1); err != nil {
		return work{}, fmt.Errorf("warm-up: %w", err)
	}
	before, err := c.dump()
	if err != nil {
		return work{}, err
	}
	if err := open.Request(countedRequests, 1, 1); err != nil {
		return work{}, fmt.Errorf("counted requests: %w", err)
	}
	counted, err := c.dump()
	if err != nil {
		return work{}, err
	}
	if before.allocations() == 0 {
		return work{}, errors.New("callgrind saw no allocation even for a new connection: it does not know the allocator's functions")
	}
	return work{
		instructions: float64(counted.instructions) / countedRequests,
		allocations:  float64(counted.allocations()) / countedRequests,
		path:         counted.allocatingPath(),
	}, nil
}

// profile is what one thread did.
type profile struct {
	instructions int64
	// callers of each function, with how often they called it.
	callers map[string]map[string]int64
}

// dump makes callgrind write what it has counted and start again from nothing. It returns the counts of
// the busiest thread: the worker.
func (c *callgrind) dump() (profile, error) {
	if output, err := exec.Command("callgrind_control", "--dump", strconv.Itoa(c.pid)).CombinedOutput(); err != nil {
		return profile{}, fmt.Errorf("callgrind_control: %w: %s", err, output)
	}
	c.dumps++
	files, err := filepath.Glob(filepath.Join(c.directory, fmt.Sprintf("callgrind.%d-*", c.dumps)))
	if err != nil {
		return profile{}, err
	}
	var busiest profile
	for _, file := range files {
		one, err := readProfile(file)
		if err != nil {
			return profile{}, fmt.Errorf("%s: %w", file, err)
		}
		if one.instructions > busiest.instructions {
			busiest = one
		}
	}
	if busiest.instructions == 0 {
		return profile{}, fmt.Errorf("callgrind wrote nothing for dump %d", c.dumps)
	}
	return busiest, nil
}

// readProfile reads callgrind's format: names are given once as "(number) name" and then by number; "fn="
// begins what a function did, a call is "cfn=" followed by "calls=COUNT".
func readProfile(file string) (profile, error) {
	data, err := os.Open(file)
	if err != nil {
		return profile{}, err
	}
	defer func() { _ = data.Close() }()
	result := profile{callers: map[string]map[string]int64{}}
	names := map[string]string{}
	caller, callee := "", ""
	scanner := bufio.NewScanner(data)
	scanner.Buffer(nil, 1<<20)
	for scanner.Scan() {
		line := scanner.Text()
		if total, isTotal := strings.CutPrefix(line, "totals:"); isTotal {
			if result.instructions, err = leadingNumber(total); err != nil {
				return profile{}, err
			}
			continue
		}
		key, value, _ := strings.Cut(line, "=")
		switch key {
		case "fn":
			caller = functionName(names, value)
		case "cfn":
			callee = functionName(names, value)
		case "calls":
			count, err := leadingNumber(value)
			if err != nil {
				return profile{}, err
			}
			if result.callers[callee] == nil {
				result.callers[callee] = map[string]int64{}
			}
			result.callers[callee][caller] += count
		}
	}
	return result, scanner.Err()
}

// functionName resolves "(number) name" or "(number)".
func functionName(names map[string]string, value string) string {
	number, name, named := strings.Cut(value, " ")
	if named {
		// A recursion level or the object's variant follows an apostrophe or an at sign.
		name, _, _ = strings.Cut(name, "@")
		name, _, _ = strings.Cut(name, "'")
		names[number] = name
	}
	return names[number]
}

func leadingNumber(text string) (int64, error) {
	number, _, _ := strings.Cut(strings.TrimSpace(text), " ")
	return strconv.ParseInt(number, 10, 64)
}

// allocations counts the calls of allocators that come from elsewhere.
func (p profile) allocations() int64 {
	var total int64
	for allocator := range allocators {
		for caller, count := range p.callers[allocator] {
			if !allocators[caller] {
				total += count
			}
		}
	}
	return total
}

// allocatingPath follows the most frequent allocator call from caller to caller.
func (p profile) allocatingPath() string {
	function, most := "", int64(0)
	for allocator := range allocators {
		if total := sum(p.callers[allocator]); total > most {
			function, most = allocator, total
		}
	}
	path := []string{function}
	for range longestPath {
		next, count := "", int64(0)
		for caller, calls := range p.callers[function] {
			if calls > count && !slices.Contains(path, caller) {
				next, count = caller, calls
			}
		}
		if next == "" {
			break
		}
		function = next
		path = append(path, function)
	}
	return strings.Join(path, "\n  called by ")
}

func sum(counts map[string]int64) int64 {
	var total int64
	for _, count := range counts {
		total += count
	}
	return total
}

package gate

import (
	"bufio"
	"cmp"
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
	// loadedRequests are as many on each stream under load.
	loadedRequests = 20
	// mostFunctions are shown of a request.
	mostFunctions = 15
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
	// underLoad are the instructions with all of the pair's connections and streams at once: a turn of the worker then
	// serves many requests.
	underLoad float64
	// path is where most allocations come from.
	path string
	// functions are those with the most instructions of their own under load.
	functions []Function
}

// countWork sends requests of each pair to Selvedge under callgrind, over one connection, one at a time, and then
// over all of the pair's at once, and counts what those after the warm-up took.
func countWork(setup *peer.Setup, pairs []pair) (map[string]work, error) {
	process, err := startSelvedge(setup, epoll, "valgrind", "--tool=callgrind", "--separate-threads=yes", "--error-limit=no",
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
	before, counted, err := c.profile(pair.target, 1, 1, warmUpRequests, countedRequests)
	if err != nil {
		return work{}, err
	}
	perConnection := loadedRequests * pair.streams
	_, loaded, err := c.profile(pair.target, pair.connections, pair.streams, perConnection, perConnection)
	if err != nil {
		return work{}, err
	}
	if before.allocations() == 0 {
		return work{}, errors.New("callgrind saw no allocation even for a new connection: it does not know the allocator's functions")
	}
	return work{
		instructions: float64(counted.instructions) / countedRequests,
		allocations:  float64(counted.allocations()) / countedRequests,
		underLoad:    float64(loaded.instructions) / float64(pair.connections*perConnection),
		path:         counted.allocatingPath(),
		functions:    loaded.busiest(pair.connections * perConnection),
	}, nil
}

// profile opens connections, and returns what the requests to warm up and those behind them took.
func (c *callgrind) profile(target load.Target, connections, streams, warmUp, perConnection int) (before, counted profile, err error) {
	open, err := load.Open(connections, target)
	if err != nil {
		return before, counted, err
	}
	defer open.Close()
	if err := open.Request(warmUp, streams, connections); err != nil {
		return before, counted, fmt.Errorf("warm-up: %w", err)
	}
	if before, err = c.dump(); err != nil {
		return before, counted, err
	}
	if err := open.Request(perConnection, streams, connections); err != nil {
		return before, counted, fmt.Errorf("counted requests: %w", err)
	}
	counted, err = c.dump()
	return before, counted, err
}

// profile is what one thread did.
type profile struct {
	instructions int64
	// callers of each function, with how often they called it.
	callers map[string]map[string]int64
	// own are the instructions of each function without those of what it calls.
	own map[string]int64
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
	if total := sum(busiest.own); total != busiest.instructions {
		return profile{}, fmt.Errorf("functions in callgrind's dump %d have %d instructions of %d", c.dumps, total, busiest.instructions)
	}
	return busiest, nil
}

// readProfile reads callgrind's format: names are given once as "(number) name" and then by number; "fn="
// begins what a function did, a call is "cfn=" followed by "calls=COUNT" and a line with what it cost; other
// lines of two numbers are a position and what the function itself did there.
func readProfile(file string) (profile, error) {
	data, err := os.Open(file)
	if err != nil {
		return profile{}, err
	}
	defer func() { _ = data.Close() }()
	result := profile{callers: map[string]map[string]int64{}, own: map[string]int64{}}
	names := map[string]string{}
	caller, callee, called := "", "", false
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
		if position, cost, two := strings.Cut(line, " "); two && isPosition(position) {
			instructions, err := leadingNumber(cost)
			if err != nil {
				return profile{}, err
			}
			if !called {
				result.own[caller] += instructions
			}
			called = false
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
			called = true
		}
	}
	return result, scanner.Err()
}

// isPosition recognises a line's number, or how far it is from the one before.
func isPosition(text string) bool {
	return text == "*" || text != "" && strings.Trim(text, "+-0123456789") == ""
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

// Function and its own instructions for one request.
type Function struct {
	Name         string
	Instructions float64
}

// busiest lists the functions with the most instructions of their own.
func (p profile) busiest(requests int) []Function {
	var functions []Function
	for name, instructions := range p.own {
		functions = append(functions, Function{name, float64(instructions) / float64(requests)})
	}
	slices.SortFunc(functions, func(a, b Function) int {
		return cmp.Or(cmp.Compare(b.Instructions, a.Instructions), strings.Compare(a.Name, b.Name))
	})
	return functions[:min(len(functions), mostFunctions)]
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

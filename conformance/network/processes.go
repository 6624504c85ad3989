package network

import (
	"fmt"
	"maps"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"sync"

	"selvedge.dev/conformance/bench/machine"
)

// processes of a lab, by what they are called.
type processes struct {
	mutex sync.Mutex
	all   map[string]*machine.Process
}

var validID = regexp.MustCompile(`^[a-zA-Z0-9][a-zA-Z0-9._-]*$`)

// Start runs a command at a place; its output goes to the file ID.log in the lab's directory. An ID may be used
// again once its process has ended. The process is killed when the lab closes or this program ends.
func (l *Lab) Start(place, id string, command *exec.Cmd) (*machine.Process, error) {
	where, err := l.Place(place)
	if err != nil {
		return nil, err
	}
	if !validID.MatchString(id) {
		return nil, fmt.Errorf("the process's name %q: want letters, digits, '.', '_' and '-'", id)
	}
	l.processes.mutex.Lock()
	defer l.processes.mutex.Unlock()
	if process := l.processes.all[id]; process != nil && process.Runs() {
		return nil, fmt.Errorf("the process %q runs already", id)
	}
	process, err := where.Namespace.Start(command, l.LogFile(id))
	if err != nil {
		return nil, fmt.Errorf("%s at %s: %w", id, place, err)
	}
	if l.processes.all == nil {
		l.processes.all = map[string]*machine.Process{}
	}
	l.processes.all[id] = process
	return process, nil
}

// LogFile is what a process writes to.
func (l *Lab) LogFile(id string) string { return filepath.Join(l.Directory, id+".log") }

// Process that was started, running or not.
func (l *Lab) Process(id string) (*machine.Process, error) {
	l.processes.mutex.Lock()
	defer l.processes.mutex.Unlock()
	if process := l.processes.all[id]; process != nil {
		return process, nil
	}
	return nil, fmt.Errorf("there is no process %q, but %v", id, slices.Sorted(maps.Keys(l.processes.all)))
}

// Processes are the names of those that run.
func (l *Lab) Processes() []string {
	l.processes.mutex.Lock()
	defer l.processes.mutex.Unlock()
	var names []string
	for _, name := range slices.Sorted(maps.Keys(l.processes.all)) {
		if l.processes.all[name].Runs() {
			names = append(names, name)
		}
	}
	return names
}

func (p *processes) killAll() {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	for _, process := range p.all {
		process.Kill()
	}
}

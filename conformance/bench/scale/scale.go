// Package scale measures proxies with thousands of clusters and routes: how soon they serve, what they
// hold, and what one changed route and one service more cost.
package scale

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"selvedge.dev/conformance/bench/load"
	"selvedge.dev/conformance/bench/machine"
	"selvedge.dev/conformance/bench/measure"
	"selvedge.dev/conformance/bench/peer"
)

const (
	readyLimit  = 120 * time.Second
	changeLimit = 60 * time.Second
	// settle is how long a proxy is left alone before its memory or CPU time is read.
	settle = time.Second
	// pollEvery is how often a request asks whether a change is in force; its CPU time is the proxy's too.
	pollEvery = 2 * time.Millisecond
	// changes are made one after the other, and the median is shown.
	changes = 3
	// generationHeader of a response tells which change is in force.
	generationHeader = "x-generation"
)

// Result of all subjects with so many clusters and routes.
type Result struct {
	Size     int
	Subjects []Measured
}

// Measured is what one subject needed: medians over the rounds.
type Measured struct {
	Title string
	Figures
	Error error
}

// Figures of one run.
type Figures struct {
	// Ready is the time from the start to the first answer through the last route.
	Ready time.Duration
	// CPU used until then.
	CPU    time.Duration
	Memory machine.Memory
	// ChangeTime is the time from a change of one route to the first answer that shows it.
	ChangeTime time.Duration
	// ChangeCPU is what the change cost.
	ChangeCPU time.Duration
	// AddTime and AddCPU are the same for a service more: a cluster, its endpoint and its route.
	AddTime, AddCPU time.Duration
}

// subject is a proxy with a source of configuration.
type subject struct {
	title string
	// start writes or serves the configuration, and says how to run the proxy.
	start func(*peer.Setup, string, int) (*prepared, error)
}

// prepared is a subject that can be run.
type prepared struct {
	program              string
	arguments, variables []string
	// change makes one route carry a generation in its responses.
	change func(generation int) error
	// add adds the service that comes after the last.
	add  func() error
	stop func()
}

// Measure runs every subject once in each round.
func Measure(setup *peer.Setup, size, rounds int, progress io.Writer) (*Result, error) {
	backend, err := measure.StartBackend(setup, measure.TwoCores.Load)
	if err != nil {
		return nil, err
	}
	defer backend.Stop()
	figures := make([][]Figures, len(subjects))
	result := &Result{Size: size}
	for _, s := range subjects {
		result.Subjects = append(result.Subjects, Measured{Title: s.title})
	}
	for range rounds {
		for i, s := range subjects {
			one, err := s.run(setup, size)
			if err != nil {
				result.Subjects[i].Error = err
			}
			figures[i] = append(figures[i], one)
			_, _ = fmt.Fprintf(progress, "scale %-10d %-22s ready %s, CPU %s, %.1f MB PSS; a change %s, CPU %s; a service more %s, CPU %s %v\n", size, s.title,
				one.Ready, one.CPU, memoryMB(one.Memory.PSS), one.ChangeTime, one.ChangeCPU, one.AddTime, one.AddCPU, orEmpty(err))
		}
	}
	for i := range result.Subjects {
		result.Subjects[i].Figures = medians(figures[i])
	}
	return result, nil
}

func (s *subject) run(setup *peer.Setup, size int) (Figures, error) {
	directory := filepath.Join(setup.Directory, "scale")
	if err := os.RemoveAll(directory); err != nil {
		return Figures{}, err
	}
	if err := os.MkdirAll(directory, 0o755); err != nil {
		return Figures{}, err
	}
	ready, err := s.start(setup, directory, size)
	if err != nil {
		return Figures{}, err
	}
	defer ready.stop()
	command := machine.Command(measure.TwoCores.Proxy, ready.program, ready.arguments...)
	command.Env = append(os.Environ(), ready.variables...)
	started := time.Now()
	process, err := machine.Start(command, filepath.Join(directory, "output"))
	if err != nil {
		return Figures{}, err
	}
	defer process.Stop()
	var figures Figures
	if err := process.Await(readyLimit, pollEvery, func() error { return answers(size-1, "") }); err != nil {
		return figures, err
	}
	figures.Ready = time.Since(started)
	if figures.CPU, err = machine.ProcessTime(process.PID()); err != nil {
		return figures, err
	}
	time.Sleep(settle)
	if figures.Memory, err = machine.ProcessMemory(process.PID()); err != nil {
		return figures, err
	}
	if figures.ChangeTime, figures.ChangeCPU, err = measureChanges(process, ready.change, func(generation int) error {
		return answers(changed(size), strconv.Itoa(generation))
	}); err != nil {
		return figures, fmt.Errorf("changes: %w", err)
	}
	figures.AddTime, figures.AddCPU, err = measureChanges(process, func(int) error { return ready.add() }, func(number int) error {
		return answers(size-1+number, "")
	})
	return figures, err
}

// measureChanges makes changes, numbered from 1, one after the other, and returns the medians of the time
// until each is in force and of what it cost.
func measureChanges(process *machine.Process, change, inForce func(number int) error) (took, cost time.Duration, err error) {
	var times, costs []time.Duration
	for number := 1; number <= changes; number++ {
		before, err := machine.ProcessTime(process.PID())
		if err != nil {
			return 0, 0, err
		}
		started := time.Now()
		if err := change(number); err != nil {
			return 0, 0, err
		}
		if err := process.Await(changeLimit, pollEvery, func() error { return inForce(number) }); err != nil {
			return 0, 0, err
		}
		times = append(times, time.Since(started))
		time.Sleep(settle)
		after, err := machine.ProcessTime(process.PID())
		if err != nil {
			return 0, 0, err
		}
		costs = append(costs, after-before)
	}
	slices.Sort(times)
	slices.Sort(costs)
	return times[changes/2], costs[changes/2], nil
}

// changed is the service whose route is changed.
func changed(size int) int { return size / 2 }

// hostName of a service, as requests name it.
func hostName(number int) string { return fmt.Sprintf("svc-%d.%s", number, load.Host) }

// answers asks for a service and checks the generation of the answer.
func answers(number int, generation string) error {
	request, err := http.NewRequest(http.MethodGet, fmt.Sprintf("http://127.0.0.1:%d/0", peer.HTTP), nil)
	if err != nil {
		return err
	}
	request.Host = hostName(number)
	client := &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := client.Do(request)
	if err != nil {
		return err
	}
	if err := response.Body.Close(); err != nil {
		return err
	}
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answers %s", request.Host, response.Status)
	}
	if got := response.Header.Get(generationHeader); got != generation {
		return fmt.Errorf("%s is of generation %q, not %q", request.Host, got, generation)
	}
	return nil
}

func medians(all []Figures) Figures {
	return Figures{
		Ready:      median(all, func(f Figures) time.Duration { return f.Ready }),
		CPU:        median(all, func(f Figures) time.Duration { return f.CPU }),
		ChangeTime: median(all, func(f Figures) time.Duration { return f.ChangeTime }),
		ChangeCPU:  median(all, func(f Figures) time.Duration { return f.ChangeCPU }),
		AddTime:    median(all, func(f Figures) time.Duration { return f.AddTime }),
		AddCPU:     median(all, func(f Figures) time.Duration { return f.AddCPU }),
		Memory: machine.Memory{
			RSS: median(all, func(f Figures) int64 { return f.Memory.RSS }),
			PSS: median(all, func(f Figures) int64 { return f.Memory.PSS }),
		},
	}
}

func median[T int64 | time.Duration](all []Figures, value func(Figures) T) T {
	var values []T
	for _, figures := range all {
		values = append(values, value(figures))
	}
	slices.Sort(values)
	return values[len(values)/2]
}

func memoryMB(kibibytes int64) float64 { return float64(kibibytes) * 1024 / 1e6 }

func orEmpty(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

package measure

import (
	"bytes"
	"encoding/json"
	"fmt"
	"path/filepath"
	"time"

	"selvedge.dev/conformance/bench/load"
	"selvedge.dev/conformance/bench/machine"
	"selvedge.dev/conformance/bench/peer"
)

// Sample is one run of one row through one peer.
type Sample struct {
	// Cost is the proxy's CPU time for one unit, in the unit's own measure.
	Cost float64
	// Rate is in units per second.
	Rate   float64
	Errors float64
	// FirstError says what went wrong first.
	FirstError string
	// ProxyCore and LoadCore are the shares of the time that those cores were busy, or of all cores.
	ProxyCore, LoadCore float64
	// Backend is how much of a core the backend used.
	Backend float64
	// Foreign is how many cores others used meanwhile.
	Foreign float64
	// Median, P99 and P999 are of the time of one unit in microseconds, where the generator measures it.
	Median, P99, P999 float64
}

// Timing of one run.
type Timing struct {
	// WarmUp is load that is not counted: pools, tickets, page faults.
	WarmUp time.Duration
	// Counted is the load that is.
	Counted time.Duration
	// Hasty runs neither wait for a quiet machine nor are repeated.
	Hasty bool
}

// backendStart bounds the start of the backend.
const backendStart = 5 * time.Second

// run starts the backend and the peer afresh, and puts the load on.
func run(work Work, p *peer.Peer, setup *peer.Setup, timing Timing) Sample {
	backend, err := StartBackend(setup, work.Layout.Load)
	if err != nil {
		return failed(err)
	}
	defer backend.Stop()
	backends := []int{backend.PID()}
	if work.secureBackend {
		secure, err := startSecureBackend(setup, work.Layout.Load)
		if err != nil {
			return failed(err)
		}
		defer secure.Stop()
		backends = append(backends, secure.PID())
	}
	if p.IsNone() {
		work = work.direct()
	}
	proxy, err := p.Start(setup, work.Layout.Proxy, work.Layout.Workers)
	if err != nil {
		return failed(err)
	}
	defer proxy.Stop()
	if _, _, err := generate(work, timing.WarmUp); err != nil {
		return failed(err)
	}
	sample, err := measured(work, timing.Counted, proxy.PID(), backends)
	if err != nil {
		return failed(fmt.Errorf("%w\n%s", err, proxy.Tail()))
	}
	return sample
}

func failed(err error) Sample { return Sample{Errors: 1, FirstError: err.Error()} }

// StartBackend runs the backend on a core and waits until it answers.
func StartBackend(setup *peer.Setup, core int) (*machine.Process, error) {
	process, err := machine.Start(machine.Command(core, self(), "backend"), filepath.Join(setup.Directory, "backend-output"))
	if err != nil {
		return nil, err
	}
	if err := process.Await(backendStart, 5*time.Millisecond, backendAnswers); err != nil {
		process.Stop()
		return nil, err
	}
	return process, nil
}

func measured(work Work, duration time.Duration, proxy int, backends []int) (Sample, error) {
	before, err := usageNow(proxy, backends)
	if err != nil {
		return Sample{}, err
	}
	result, used, err := generate(work, duration)
	if err != nil {
		return Sample{}, err
	}
	after, err := usageNow(proxy, backends)
	if err != nil {
		return Sample{}, err
	}
	units := result.Units
	if work.bytes > 0 {
		units /= work.bytes
	}
	elapsed := after.at.Sub(before.at)
	sample := Sample{
		Rate: units / result.Seconds, Errors: result.Errors, FirstError: result.FirstError, Median: result.Median, P99: result.P99, P999: result.P999,
		ProxyCore: share(after.core(work.Layout.Proxy)-before.core(work.Layout.Proxy), elapsed),
		LoadCore:  share(after.core(work.Layout.Load)-before.core(work.Layout.Load), elapsed),
		Backend:   share(after.backend-before.backend, elapsed),
		Foreign:   share(after.total()-before.total()-(after.ours()-before.ours())-used, elapsed),
	}
	if units > 0 {
		sample.Cost = float64((after.proxy - before.proxy).Nanoseconds()) / 1000 / units / work.Unit.Factor
	} else if sample.Errors == 0 {
		sample.Errors, sample.FirstError = 1, "nothing was completed"
	}
	return sample, nil
}

// generate puts load on for so long and returns what was completed and the generator's CPU time.
func generate(work Work, duration time.Duration) (load.Result, time.Duration, error) {
	command := work.command(duration)
	var output, complaints bytes.Buffer
	command.Stdout, command.Stderr = &output, &complaints
	if err := command.Run(); err != nil {
		return load.Result{}, 0, fmt.Errorf("%s: %w: %s%s", command, err, &output, &complaints)
	}
	used := command.ProcessState.UserTime() + command.ProcessState.SystemTime()
	result, err := work.read(output.String())
	if err != nil {
		err = fmt.Errorf("%s: %w", command, err)
	}
	return result, used, err
}

// read understands what the generator has written.
func (w Work) read(output string) (load.Result, error) {
	switch w.generator {
	case wrk:
		return load.ParseWrk(output)
	case h2load:
		return load.ParseH2load(output, w.body, w.connections*w.streams)
	}
	var result load.Result
	if err := json.Unmarshal([]byte(output), &result); err != nil {
		return load.Result{}, fmt.Errorf("%w: %s", err, output)
	}
	return result, nil
}

// Package flood attacks a gateway over HTTP/2 with frames that cost the sender nothing, and judges: the
// gateway ends the connection within a number of frames, another connection goes on unharmed, and the
// memory stays where it was.
package flood

import (
	"fmt"
	"os"
	"strconv"
	"strings"

	"selvedge.dev/conformance/gateways"
	"selvedge.dev/conformance/hostile/recorder"
)

const (
	// framesPerWrite are sent at once, framesPerRequest are between two requests of the victim.
	framesPerWrite, framesPerRequest = 50, 1000
	// memoryBound is how much a gateway may grow during a flood, in MiB.
	memoryBound = 32
)

// Result of one flood.
type Result struct {
	// Frames that were written before the gateway had enough, and how it ended the connection. Both
	// depend on timing: they are shown, not judged.
	Frames int
	How    string
	// Grown is by how much the gateway's memory grew, in MiB.
	Grown float64
	// Wrong is what was not as it must be.
	Wrong []string
}

// Run sends one flood.
func Run(gateway *gateways.Running, backend *recorder.Recorder, f *Flood) (*Result, error) {
	victim, err := newVictim(gateway.HTTP)
	if err != nil {
		return nil, fmt.Errorf("before the flood: %w", err)
	}
	defer victim.close()
	backend.Script(largeTarget, large())
	before, err := resetPeak(gateway.PID())
	if err != nil {
		return nil, err
	}
	result, err := f.send(gateway, victim)
	if err != nil {
		return nil, err
	}
	after, err := memory(gateway.PID(), "VmHWM")
	if err != nil {
		return nil, err
	}
	if result.Grown = after - before; result.Grown > memoryBound {
		result.Wrong = append(result.Wrong, fmt.Sprintf("memory grew by %.1f MiB; %d are allowed", result.Grown, memoryBound))
	}
	if faults := backend.Take().Faults; len(faults) > 0 {
		result.Wrong = append(result.Wrong, faults...)
	}
	return result, nil
}

// large is an answer of largeAnswer bytes.
func large() recorder.Answer {
	return recorder.Answer{Bytes: fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", largeAnswer, strings.Repeat("a", largeAnswer))}
}

// send floods the gateway while the victim goes on.
func (f *Flood) send(gateway *gateways.Running, victim *victim) (*Result, error) {
	a, err := attack(gateway.HTTP, f.Settings...)
	if err != nil {
		return nil, err
	}
	defer a.close()
	result := &Result{}
	if err := f.write(a, func() {
		if err := victim.request(); err != nil && len(result.Wrong) == 0 {
			result.Wrong = append(result.Wrong, fmt.Sprintf("another connection during the flood: %s", err))
		}
	}); err != nil {
		return nil, err
	}
	stopped, err := a.verdict()
	switch {
	case err != nil:
		result.Wrong = append(result.Wrong, err.Error())
	case !stopped && !f.Bears:
		result.Wrong = append(result.Wrong, fmt.Sprintf("%d frames did not make the gateway end the connection", a.frames))
	}
	result.Frames, result.How = a.frames, fmt.Sprintf("it goes on (%d streams reset)", a.resets.Load())
	if stopped {
		result.How = a.how
	}
	if err := victim.request(); err != nil {
		result.Wrong = append(result.Wrong, fmt.Sprintf("another connection after the flood: %s", err))
	}
	return result, nil
}

// write sends frames until the gateway has had enough or the bound is reached. An error of writing is no
// fault: a gateway that closes reads no further.
func (f *Flood) write(a *attacker, between func()) error {
	if f.Begin != nil {
		if err := f.Begin(a); err != nil {
			return err
		}
	}
	written, asked := 0, 0
	for a.frames < f.Bound && !a.stopped() {
		if err := f.Each(a); err != nil {
			return nil
		}
		if a.frames-written >= framesPerWrite {
			if err := a.flush(); err != nil {
				return nil
			}
			written = a.frames
		}
		if a.frames-asked >= framesPerRequest {
			between()
			asked = a.frames
		}
	}
	between()
	return nil
}

// resetPeak makes the peak of a process's memory what it holds now, and returns it in MiB.
func resetPeak(pid int) (float64, error) {
	if err := os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", pid), []byte("5"), 0); err != nil {
		return 0, err
	}
	return memory(pid, "VmHWM")
}

// memory reads a row of a process's status, in MiB.
func memory(pid int, name string) (float64, error) {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(data)) {
		if fields := strings.Fields(line); len(fields) > 1 && fields[0] == name+":" {
			kibibytes, err := strconv.ParseFloat(fields[1], 64)
			return kibibytes / 1024, err
		}
	}
	return 0, fmt.Errorf("no %s of process %d", name, pid)
}

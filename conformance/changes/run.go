package changes

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"selvedge.dev/conformance/cluster"
	"selvedge.dev/conformance/differential"
)

const (
	// arriveLimit bounds the way of one change to the gateway.
	arriveLimit = 15 * time.Second
	// settle is how long traffic goes on after each change: a connection that is drained ends later.
	settle = 1500 * time.Millisecond
	// endLimit is how long a connection that must end may live.
	endLimit = 10 * time.Second
	// betweenTakingBack lets istiod see every step.
	betweenTakingBack = 500 * time.Millisecond
	// adminPort is the gateway's on its own loopback.
	adminPort = 15000
)

// Result is what came of one change.
type Result struct {
	// Change is the file's name, "restart", or "back" for all files taken back.
	Change string
	// Problems are what should not have happened.
	Problems []string
	// Uses counts the requests, lines and messages that went well meanwhile.
	Uses int64
}

// Suite changes the configuration of one gateway step by step, under traffic.
type Suite struct {
	// Runner has put the backends into the cluster.
	Runner *differential.Runner
	// Role is the gateway's.
	Role string
	// Duration is for how long the changes go on, over and over again; at least once.
	Duration time.Duration

	gateway  *cluster.Pod
	streams  []*stream
	restarts int
	results  []Result
}

// Run makes all changes.
func (s *Suite) Run(ctx context.Context) ([]Result, error) {
	initial, err := files.ReadFile(initialFile)
	if err != nil {
		return nil, err
	}
	if err := s.Runner.Apply(ctx, initial); err != nil {
		return nil, err
	}
	if s.gateway, err = s.Runner.Gateway(ctx, s.Role); err != nil {
		return nil, err
	}
	s.streams = newStreams(s.gateway.Address)
	if err := await(arriveLimit, func() error { return tryAll(s.streams) }); err != nil {
		return nil, fmt.Errorf("the traffic does not flow before any change: %w", err)
	}
	stop := make(chan struct{})
	defer close(stop)
	for _, stream := range s.streams {
		go stream.run(stop)
	}
	time.Sleep(settle)
	s.results = []Result{{Change: "none", Problems: problems(s.streams, step{}), Uses: uses(s.streams)}}
	for started := time.Now(); ; {
		if err := s.round(ctx); err != nil {
			return nil, err
		}
		if time.Since(started) >= s.Duration {
			break
		}
		if err := s.back(ctx); err != nil {
			return nil, err
		}
	}
	// It cannot be taken back: nobody of the traffic has a certificate.
	return s.results, s.change(ctx, stricter)
}

// round makes every change once, and restarts the gateway if it is one that can be.
func (s *Suite) round(ctx context.Context) error {
	for _, step := range steps {
		if err := s.change(ctx, step); err != nil {
			return err
		}
	}
	if s.Role != Restartable {
		return nil
	}
	return s.restart()
}

// change applies the file of a step.
func (s *Suite) change(ctx context.Context, step step) error {
	data, err := files.ReadFile("steps/" + step.file + ".yaml")
	if err != nil {
		return err
	}
	arrived := func() error { return nil }
	if step.arrived != nil {
		arrived = func() error { return step.arrived(s.gateway.Address) }
	}
	return s.watch(step, func() error { return s.Runner.Apply(ctx, data) }, arrived)
}

// back takes all steps back, the last one first.
func (s *Suite) back(ctx context.Context) error {
	return s.watch(step{file: "back"}, func() error {
		for _, step := range slices.Backward(steps) {
			if err := s.takeBack(ctx, step); err != nil {
				return err
			}
			time.Sleep(betweenTakingBack)
		}
		return nil
	}, func() error { return nil })
}

func (s *Suite) takeBack(ctx context.Context, step step) error {
	before, added, err := step.undo()
	if err != nil {
		return err
	}
	if err := s.Runner.Apply(ctx, before); err != nil {
		return err
	}
	return s.Runner.Delete(ctx, added)
}

// restart lets another process take over. What has no other end lives until the old process gives up draining.
func (s *Suite) restart() error {
	s.restarts++
	return s.watch(handOver, s.gateway.Restart, func() error {
		page, err := s.gateway.Get(adminPort, "/server_info")
		if err != nil {
			return err
		}
		var info struct {
			Options struct {
				RestartEpoch int `json:"restart_epoch"`
			} `json:"command_line_options"`
		}
		if err := json.Unmarshal(page, &info); err != nil {
			return err
		}
		if info.Options.RestartEpoch != s.restarts {
			return fmt.Errorf("the process that answers is number %d", info.Options.RestartEpoch)
		}
		return nil
	})
}

// watch makes a change and notes what came of it.
func (s *Suite) watch(step step, act, arrived func() error) error {
	result, before := Result{Change: step.file}, uses(s.streams)
	if err := act(); err != nil {
		return fmt.Errorf("change %s: %w", step.file, err)
	}
	if err := await(arriveLimit, arrived); err != nil {
		result.Problems = append(result.Problems, "it never arrived: "+err.Error())
	}
	if step.drains {
		result.Problems = append(result.Problems, early(s.streams, step)...)
	}
	if err := await(endLimit, func() error { return allEnded(s.streams, step) }); err != nil {
		result.Problems = append(result.Problems, err.Error())
	}
	time.Sleep(settle)
	result.Problems = append(result.Problems, problems(s.streams, step)...)
	result.Uses = uses(s.streams) - before
	s.results = append(s.results, result)
	return nil
}

// tryAll uses every connection once.
func tryAll(streams []*stream) error {
	done := make(chan struct{})
	close(done)
	for _, s := range streams {
		if err := s.runOne(done); err != nil {
			return fmt.Errorf("%s: %w", s.kind, err)
		}
	}
	return nil
}

// problems are the ends since the last time that a step does not allow.
func problems(streams []*stream, step step) []string {
	var list []string
	for _, s := range streams {
		for _, end := range s.take() {
			if !step.allows(s.kind, end) {
				list = append(list, s.kind+": "+end.Error())
			}
		}
	}
	return list
}

// early are the kinds whose connections ended before the drain was over, though nothing else ends them.
func early(streams []*stream, step step) []string {
	var list []string
	for _, s := range streams {
		if slices.Contains(step.ends, s.kind) && s.hasEnded() {
			list = append(list, s.kind+": a connection ended before the drain did")
		}
	}
	return list
}

// allEnded wants every connection of the kinds that must end to have ended at least once.
func allEnded(streams []*stream, step step) error {
	for _, s := range streams {
		if step.mustEnd(s.kind) && !s.hasEnded() {
			return errors.New(s.kind + ": a connection lives on that must end")
		}
	}
	return nil
}

func uses(streams []*stream) int64 {
	var total int64
	for _, s := range streams {
		total += s.uses.Load()
	}
	return total
}

func await(limit time.Duration, condition func() error) error {
	deadline := time.Now().Add(limit)
	for {
		err := condition()
		if err == nil || time.Now().After(deadline) {
			return err
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// Write prints the results as a table and says how many changes went wrong.
func Write(w io.Writer, results []Result) (failed int) {
	for _, result := range results {
		state := "ok"
		if len(result.Problems) > 0 {
			state = fmt.Sprintf("%d problems", len(result.Problems))
			failed++
		}
		_, _ = fmt.Fprintf(w, "%-14s %6d requests, lines and messages   %s\n", result.Change, result.Uses, state)
		for _, problem := range result.Problems[:min(len(result.Problems), 5)] {
			_, _ = fmt.Fprintln(w, "    ", problem)
		}
	}
	return failed
}

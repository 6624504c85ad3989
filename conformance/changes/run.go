package changes

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"selvedge.dev/conformance/differential"
)

const (
	// arriveLimit bounds the way of one change to the gateway.
	arriveLimit = 15 * time.Second
	// settle is how long traffic goes on after each change: a connection that is drained ends later.
	settle = 1500 * time.Millisecond
	// endLimit is how long a connection that must end may live.
	endLimit = 10 * time.Second
)

// Result is what came of one change.
type Result struct {
	// Change is the file's name.
	Change string
	// Problems are what should not have happened.
	Problems []string
	// Uses counts the requests, lines and messages that went well meanwhile.
	Uses int64
}

// Run changes the configuration of one gateway step by step, under traffic.
func Run(ctx context.Context, runner *differential.Runner, role string) ([]Result, error) {
	initial, err := files.ReadFile("initial.yaml")
	if err != nil {
		return nil, err
	}
	if err := runner.Apply(ctx, initial); err != nil {
		return nil, err
	}
	pod, err := runner.Gateway(ctx, role)
	if err != nil {
		return nil, err
	}
	streams := newStreams(pod.Address)
	if err := await(arriveLimit, func() error { return tryAll(streams) }); err != nil {
		return nil, fmt.Errorf("the traffic does not flow before any change: %w", err)
	}
	stop := make(chan struct{})
	defer close(stop)
	for _, s := range streams {
		go s.run(stop)
	}
	time.Sleep(settle)
	results := []Result{{Change: "none", Problems: problems(streams, nil)}}
	for _, step := range steps {
		result, err := change(ctx, runner, step, pod.Address, streams)
		if err != nil {
			return nil, fmt.Errorf("change %s: %w", step.file, err)
		}
		results = append(results, result)
	}
	return results, nil
}

func change(ctx context.Context, runner *differential.Runner, step step, gateway string, streams []*stream) (Result, error) {
	result := Result{Change: step.file}
	before := uses(streams)
	data, err := files.ReadFile("steps/" + step.file + ".yaml")
	if err != nil {
		return result, err
	}
	if err := runner.Apply(ctx, data); err != nil {
		return result, err
	}
	if step.arrived != nil {
		if err := await(arriveLimit, func() error { return step.arrived(gateway) }); err != nil {
			result.Problems = append(result.Problems, "it never arrived: "+err.Error())
		}
	}
	if err := await(endLimit, func() error { return allBroken(streams, step.ends) }); err != nil {
		result.Problems = append(result.Problems, err.Error())
	}
	time.Sleep(settle)
	result.Problems = append(result.Problems, problems(streams, step.ends)...)
	result.Uses = uses(streams) - before
	return result, nil
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

// problems are what broke since the last time, except connections of the kinds that must end.
func problems(streams []*stream, ended []string) []string {
	var list []string
	for _, s := range streams {
		for _, message := range s.take() {
			if !slices.Contains(ended, s.kind) {
				list = append(list, s.kind+": "+message)
			}
		}
	}
	return list
}

// allBroken wants every connection of some kinds to have ended at least once.
func allBroken(streams []*stream, kinds []string) error {
	for _, s := range streams {
		s.mu.Lock()
		alive := len(s.breaks) == 0
		s.mu.Unlock()
		if alive && slices.Contains(kinds, s.kind) {
			return errors.New(s.kind + ": a connection lives on that was admitted under weaker rules")
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

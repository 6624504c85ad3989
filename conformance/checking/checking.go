// Package checking runs checks that are no Go tests, because what they look at is not this program: real processes,
// networks, times. Each prints its figures.
package checking

import (
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// Limit is the patience with what must happen.
const Limit = 20 * time.Second

// Check is one of them.
type Check struct {
	Name string
	Run  func(*Trial)
}

// Counts of a run.
type Counts struct{ Passed, Failed, Skipped int }

// Runner runs checks.
type Runner struct {
	Checks []Check
	// Only are parts of names; nothing is all checks.
	Only []string
	// Directory for what processes write.
	Directory string
	Out       io.Writer
}

// Run runs the checks, one after the other, and prints figures and what failed.
func (r *Runner) Run() Counts {
	var counts Counts
	ran := false
	for i, one := range r.Checks {
		if !r.chosen(one.Name) {
			continue
		}
		ran = true
		t := &Trial{Directory: filepath.Join(r.Directory, fmt.Sprint(i))}
		t.do(one.Run)
		for _, line := range t.figures {
			_, _ = fmt.Fprintf(r.Out, "%s: %s\n", one.Name, line)
		}
		if len(t.complaints) == 0 {
			counts.Passed++
			continue
		}
		counts.Failed++
		_, _ = fmt.Fprintf(r.Out, "FAILED %s\n", one.Name)
		for _, complaint := range t.complaints {
			_, _ = fmt.Fprintf(r.Out, "    %s\n", strings.ReplaceAll(strings.TrimSpace(complaint), "\n", "\n    "))
		}
	}
	if !ran {
		_, _ = fmt.Fprintf(r.Out, "FAILED no check has a name with %s\n", strings.Join(r.Only, " or "))
		counts.Failed++
	}
	return counts
}

func (r *Runner) chosen(name string) bool {
	return len(r.Only) == 0 || slices.ContainsFunc(r.Only, func(part string) bool { return strings.Contains(name, part) })
}

// Trial is one run of a check. It is what package require takes for a test.
type Trial struct {
	// Directory for what processes write. It may have to be made.
	Directory string

	complaints []string
	figures    []string
	cleanups   []func() error
}

// failed is thrown where a check cannot go on.
type failed struct{}

// Errorf notes what is wrong.
func (t *Trial) Errorf(format string, arguments ...any) {
	t.complaints = append(t.complaints, fmt.Sprintf(format, arguments...))
}

// Failed says that something is wrong already.
func (t *Trial) Failed() bool { return len(t.complaints) > 0 }

// FailNow ends the check.
func (t *Trial) FailNow() { panic(failed{}) }

// Figure notes something to know.
func (t *Trial) Figure(format string, arguments ...any) {
	t.figures = append(t.figures, fmt.Sprintf(format, arguments...))
}

// Later is done when the check has ended, the last first.
func (t *Trial) Later(cleanup func() error) { t.cleanups = append(t.cleanups, cleanup) }

func (t *Trial) do(run func(*Trial)) {
	defer func() {
		if thrown := recover(); thrown != nil {
			if _, expected := thrown.(failed); !expected {
				panic(thrown)
			}
		}
		for _, cleanup := range slices.Backward(t.cleanups) {
			if err := cleanup(); err != nil {
				t.Errorf("cleaning up: %v", err)
			}
		}
	}()
	run(t)
}

// Await waits until something is true.
func (t *Trial) Await(what string, isTrue func() bool) {
	for deadline := time.Now().Add(Limit); !isTrue(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Errorf("not within %s: %s", Limit, what)
			t.FailNow()
		}
	}
}

// Package suites runs what others have written to test HTTP/2, gRPC, TLS and slow clients, against the
// gateway as a plain process. `conformance/suites/setup` installs their programs.
package suites

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"selvedge.dev/conformance/cluster"
	"selvedge.dev/conformance/gateways"
)

// commandLimit bounds one program.
const commandLimit = 10 * time.Minute

// Counts of a run.
type Counts struct{ Passed, Failed, Skipped int }

// Result of one test of a suite.
type Result struct {
	Name string
	// Problem is why it failed; nothing if it passed.
	Problem string
	// Skipped is why it says nothing, which is as it should be: what should have run and did not is a problem.
	Skipped string
}

// suite is one of them.
type suite struct {
	name string
	// programs must be there.
	programs []string
	// least is how many results there must be: who stops in the middle has not passed.
	least int
	run   func(*Lab) ([]Result, error)
}

var all = []*suite{
	{"h2spec", []string{"tools/h2spec"}, 2 * 146, runH2spec},
	{"grpc", []string{"tools/interop/client", "tools/interop/server"}, 2 * 14, runInterop},
	{"connect", []string{"tools/connectconformance", "tools/referenceserver"}, 2164, runConnect},
	{"varnishtest", []string{"varnishtest"}, 24, runVarnishtest},
	{"proxy-protocol", nil, 17, runProxyProtocol},
	{"slowhttptest", []string{"slowhttptest"}, 3, runSlow},
	{"sslyze", []string{"tools/sslyze/bin/sslyze"}, 23, runScan},
}

// Names of all suites.
func Names() []string {
	var names []string
	for _, s := range all {
		names = append(names, s.name)
	}
	return names
}

// Lab is what suites run in.
type Lab struct {
	Cluster *cluster.Cluster
	// Directory for everything that is written.
	Directory string
	// Logs is where the programs' words stay.
	Logs string
	// JudgeEnvoy puts Envoy into the gateway's place.
	JudgeEnvoy bool
	// Verbose shows what passed, too.
	Verbose bool
	Out     io.Writer
}

// Run runs suites by name, or all of them, and prints what failed.
func (l *Lab) Run(names []string) (Counts, error) {
	var counts Counts
	for _, name := range names {
		if !slices.Contains(Names(), name) {
			return counts, fmt.Errorf("there is no suite %q, but %s", name, strings.Join(Names(), ", "))
		}
	}
	for _, s := range all {
		if len(names) > 0 && !slices.Contains(names, s.name) {
			continue
		}
		results, err := l.runOne(s)
		if err != nil {
			return counts, fmt.Errorf("%s: %w", s.name, err)
		}
		l.show(s, results, &counts)
	}
	return counts, nil
}

func (l *Lab) runOne(s *suite) ([]Result, error) {
	for _, program := range s.programs {
		if _, err := exec.LookPath(l.program(program)); err != nil {
			return []Result{{Name: "all", Problem: program + " is missing: conformance/suites/setup installs it"}}, nil
		}
	}
	results, err := s.run(l)
	return s.complete(results), err
}

// complete adds a problem if there are too few results.
func (s *suite) complete(results []Result) []Result {
	if len(results) >= s.least {
		return results
	}
	return append(results, Result{Name: "all", Problem: fmt.Sprintf("there are %d results instead of %d", len(results), s.least)})
}

// show prints what did not pass, and a line for the suite.
func (l *Lab) show(s *suite, results []Result, counts *Counts) {
	var own Counts
	for _, result := range results {
		switch {
		case result.Skipped != "":
			own.Skipped++
			_, _ = fmt.Fprintf(l.Out, "%s: %s: skipped: %s\n", s.name, result.Name, result.Skipped)
		case result.Problem != "":
			own.Failed++
			_, _ = fmt.Fprintf(l.Out, "%s: %s: FAILED: %s\n", s.name, result.Name, result.Problem)
		default:
			own.Passed++
			if l.Verbose {
				_, _ = fmt.Fprintf(l.Out, "%s: %s: passed\n", s.name, result.Name)
			}
		}
	}
	_, _ = fmt.Fprintf(l.Out, "%-15s %d passed, %d failed, %d skipped\n", s.name+":", own.Passed, own.Failed, own.Skipped)
	counts.Passed += own.Passed
	counts.Failed += own.Failed
	counts.Skipped += own.Skipped
}

// program is the path of what setup installed, or the name of what the system has.
func (l *Lab) program(name string) string {
	if strings.Contains(name, "/") {
		return filepath.Join(l.Cluster.Root, ".work", name)
	}
	return name
}

// start runs the gateway under test, after it has been told what to serve.
func (l *Lab) start(find func(*cluster.Cluster) (*gateways.Gateway, error), configure func(*gateways.Gateway)) (*gateways.Running, error) {
	if l.JudgeEnvoy {
		find = gateways.Envoy
	}
	gateway, err := find(l.Cluster)
	if err != nil {
		return nil, err
	}
	configure(gateway)
	return gateway.Start(l.Directory)
}

// command runs a program, keeps its words in a log, and returns them. A program that says by its status
// that something failed is no error: what failed is in its words.
func (l *Lab) command(log, name string, arguments ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), commandLimit)
	defer cancel()
	output, err := exec.CommandContext(ctx, l.program(name), arguments...).CombinedOutput()
	var status *exec.ExitError
	if errors.As(err, &status) && ctx.Err() == nil {
		err = nil
	}
	return string(output), errors.Join(err, os.WriteFile(filepath.Join(l.Logs, log+".log"), output, 0o644))
}

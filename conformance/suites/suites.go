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
	// Skipped is why it says nothing.
	Skipped string
}

// suite is one of them.
type suite struct {
	name string
	// programs must be there.
	programs []string
	// long ones run only if they are asked for.
	long bool
	run  func(*Lab) ([]Result, error)
}

var all = []*suite{
	{"h2spec", []string{"tools/h2spec"}, false, runH2spec},
	{"grpc", []string{"tools/interop/client", "tools/interop/server"}, false, runInterop},
	{"connect", []string{"tools/connectconformance", "tools/referenceserver"}, true, runConnect},
	{"varnishtest", []string{"varnishtest"}, false, runVarnishtest},
	{"proxy-protocol", nil, false, runProxyProtocol},
	{"slowhttptest", []string{"slowhttptest"}, true, runSlow},
	{"sslyze", []string{"tools/sslyze/bin/sslyze"}, false, runScan},
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
	// All runs the long suites, too, if none is named.
	All bool
	// Verbose shows what passed, too.
	Verbose bool
	Out     io.Writer
}

// Run runs suites by name, or those that are not long, and prints what failed.
func (l *Lab) Run(names []string) (Counts, error) {
	var counts Counts
	for _, name := range names {
		if !slices.Contains(Names(), name) {
			return counts, fmt.Errorf("there is no suite %q, but %s", name, strings.Join(Names(), ", "))
		}
	}
	for _, s := range all {
		if !slices.Contains(names, s.name) && (len(names) > 0 || s.long && !l.All) {
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
			return []Result{{Name: "all", Skipped: program + " is missing: run conformance/suites/setup"}}, nil
		}
	}
	return s.run(l)
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

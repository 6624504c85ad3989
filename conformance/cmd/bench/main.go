// Command bench measures Selvedge beside other proxies: see usage, and conformance/bench/run.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"strings"
	"time"

	"selvedge.dev/conformance/bench/backend"
	"selvedge.dev/conformance/bench/capture"
	"selvedge.dev/conformance/bench/gate"
	"selvedge.dev/conformance/bench/load"
	"selvedge.dev/conformance/bench/sandbox"
	"selvedge.dev/conformance/bench/suite"
)

const usage = `usage: bench COMMAND

  run       measure, print the report, and write it to docs/performance.md if nothing was left out (bench run -h)
  count     instructions, allocations and system calls of one request through Selvedge for each pair of protocols;
            fails if they have grown (bench count -h)
  capture selvedge|envoy
            take from a real istiod what it sends for the benchmark's folder to such a gateway

What run starts:
  backend   serve what the proxies lead to
  load NAME generate load (bench load NAME -h)
`

func main() {
	if len(os.Args) < 2 {
		fmt.Fprint(os.Stderr, usage)
		os.Exit(2)
	}
	if err := run(os.Args[1], os.Args[2:]); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(command string, arguments []string) error {
	switch command {
	case "run":
		return measure(arguments)
	case "count":
		return count(arguments)
	case "capture":
		if len(arguments) != 1 || capture.Profiles[arguments[0]] == "" {
			return errors.New("capture what: selvedge or envoy?")
		}
		return capture.Capture(context.Background(), arguments[0])
	case "backend":
		return backend.Serve()
	case "load":
		return generate(arguments)
	}
	return fmt.Errorf("no command %q\n%s", command, usage)
}

func count(arguments []string) error {
	flags := flag.NewFlagSet("count", flag.ExitOnError)
	update := flags.Bool("update", false, "write the counts to conformance/bench/reference.json instead of comparing with it")
	if err := flags.Parse(arguments); err != nil {
		return err
	}
	if flags.NArg() > 0 {
		return fmt.Errorf("count does not take %q", flags.Arg(0))
	}
	if err := sandbox.Enter(); err != nil {
		return err
	}
	return gate.Run(*update, os.Stdout)
}

func measure(arguments []string) error {
	flags := flag.NewFlagSet("run", flag.ExitOnError)
	rounds := flags.Int("rounds", 3, "how often every peer runs a row")
	seconds := flags.Int("seconds", 3, "load that is counted in one run")
	only := flags.String("only", "", "rows, separated by commas: ROW, ROW@one, ROW@two, memory, scale")
	peers := flags.String("peers", "", "peers, separated by commas")
	quick := flags.Bool("quick", false, "one round of one second, few connections and clusters: does everything work?")
	if err := flags.Parse(arguments); err != nil {
		return err
	}
	if flags.NArg() > 0 {
		return fmt.Errorf("run does not take %q", flags.Arg(0))
	}
	if *rounds < 1 || *seconds < 1 {
		return errors.New("-rounds and -seconds are at least 1")
	}
	if err := sandbox.Enter(); err != nil {
		return err
	}
	options := suite.Options{Rounds: *rounds, Seconds: *seconds, Only: list(*only), Peers: list(*peers), Quick: *quick}
	if *quick {
		options.Rounds, options.Seconds = 1, 1
	}
	options.Command = strings.Join(append([]string{"conformance/bench/run"}, arguments...), " ")
	return suite.Run(options, os.Stdout, os.Stderr)
}

func list(text string) []string {
	return strings.FieldsFunc(text, func(r rune) bool { return r == ',' })
}

func generate(arguments []string) error {
	if len(arguments) == 0 {
		return fmt.Errorf("load with which generator: %v", load.Names())
	}
	flags := flag.NewFlagSet("load", flag.ExitOnError)
	port := flags.Int("port", 0, "port of the proxy on 127.0.0.1")
	path := flags.String("path", "/1k", "path to ask for")
	connections := flags.Int("connections", 1, "connections open at a time")
	streams := flags.Int("streams", 0, "streams at a time on each connection over HTTP/2; 0 is HTTP/1 (constant-rate)")
	rate := flags.Int("rate", 0, "requests a second (constant-rate)")
	duration := flags.Duration("duration", time.Second, "how long")
	if err := flags.Parse(arguments[1:]); err != nil {
		return err
	}
	return load.Run(arguments[0], load.Job{Port: *port, Path: *path, Connections: *connections, Streams: *streams, Rate: *rate, Duration: *duration})
}

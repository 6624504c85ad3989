// Package load holds the load generators. Each runs in a process of its own, pinned by its parent, and
// writes one Result as JSON.
package load

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"sort"
	"time"
)

// Result is what one run of a generator completed.
type Result struct {
	// Units are completed requests, connections, handshakes, round trips, or bytes for bulk.
	Units float64 `json:"units"`
	// Errors are units that failed: refused, reset, cut short, or answered with another status than 200.
	Errors float64 `json:"errors"`
	// FirstError says what the first failure was.
	FirstError string `json:"firstError,omitempty"`
	// Seconds is how long the load was on. A generator that leaves it out was at it from start to end.
	Seconds float64 `json:"seconds"`
	// Median, P99 and P999 of the time of one unit in microseconds, where the generator measures it.
	Median float64 `json:"median,omitempty"`
	P99    float64 `json:"p99,omitempty"`
	P999   float64 `json:"p999,omitempty"`
}

// Host is the authority that every request asks for.
const Host = "bench.test"

// MessageFile holds a gRPC message of 100 bytes behind its flag and length, for h2load.
const MessageFile = "/run/grpc-message"

// Message is what it holds.
func Message() []byte { return append([]byte{0, 0, 0, 0, 100}, bytes.Repeat([]byte("x"), 100)...) }

// Job is one run of a generator.
type Job struct {
	// Port of the proxy on 127.0.0.1.
	Port int
	// Path to ask for, where the generator speaks HTTP.
	Path string
	// Connections are open at a time.
	Connections int
	// Streams at a time on each connection over HTTP/2; none is HTTP/1.
	Streams int
	// Rate is how many requests a second are sent, where the generator sends at a constant rate.
	Rate     int
	Duration time.Duration
}

// generators by the name that the command line uses.
var generators = map[string]func(Job) Result{
	"connections":   newConnections,
	"constant-rate": constantRate,
	"handshakes":    handshakes,
	"resumptions":   resumptions,
	"upload":        upload,
	"download":      download,
	"round-trips":   roundTrips,
}

// Names of the generators.
func Names() []string {
	var names []string
	for name := range generators {
		names = append(names, name)
	}
	sort.Strings(names)
	return names
}

// Run runs a generator and prints its result.
func Run(name string, job Job) error {
	generate, known := generators[name]
	if !known {
		return fmt.Errorf("no generator %q: there are %v", name, Names())
	}
	started := time.Now()
	result := generate(job)
	if result.Seconds == 0 {
		result.Seconds = time.Since(started).Seconds()
	}
	return json.NewEncoder(os.Stdout).Encode(result)
}

// fail counts a failure and keeps the first one's reason.
func (r *Result) fail(err error) {
	r.Errors++
	if r.FirstError == "" {
		r.FirstError = err.Error()
	}
}

// add takes in the result of one of several parallel loops.
func (r *Result) add(other Result) {
	r.Units += other.Units
	r.Errors += other.Errors
	if r.FirstError == "" {
		r.FirstError = other.FirstError
	}
}

// percentiles fills in the distribution of the units' times.
func (r *Result) percentiles(times []time.Duration) {
	if len(times) == 0 {
		return
	}
	slices.Sort(times)
	at := func(share float64) float64 {
		return float64(times[int(share*float64(len(times)-1))].Nanoseconds()) / 1000
	}
	r.Median, r.P99, r.P999 = at(0.5), at(0.99), at(0.999)
}

func request(path, extra string) []byte {
	return fmt.Appendf(nil, "GET %s HTTP/1.1\r\nhost: %s\r\nuser-agent: bench\r\n%s\r\n", path, Host, extra)
}

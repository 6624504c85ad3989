// Package gateways starts Selvedge and Envoy as plain processes, without a cluster, with equal
// configuration: each in front of a backend of its own, so that what reaches a backend came through
// one gateway.
package gateways

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"time"

	"selvedge.dev/conformance/bench/machine"
	"selvedge.dev/conformance/cluster"
)

// The hosts that gateways serve if they are told nothing else, and in any case the names of their
// certificates. Those of Any are all others.
const (
	Host      = "hostile.test"
	HTTP2Host = "http2.test"
	Any       = "*"
)

// NoIdleLimit is what istiod sends: streams may be silent for as long as they like.
const NoIdleLimit = "stream_idle_timeout: 0s"

const startLimit = 20 * time.Second

// Gateway is one gateway and where it is found.
type Gateway struct {
	// Name is "selvedge" or "envoy".
	Name string
	// HTTP and HTTPS are its ports on 127.0.0.1. Both speak HTTP/1.1 and HTTP/2.
	HTTP, HTTPS int
	// Backend is the port on 127.0.0.1 that requests for Host go to, in HTTP/1.1.
	Backend int
	// HTTP2Backend is the port that requests for HTTP2Host go to, in clear HTTP/2.
	HTTP2Backend int
	// Host and HTTP2Host are what it serves.
	Host, HTTP2Host string
	// Settings of Envoy's listener and its connection manager, each a row of YAML, for gateways that are
	// configured so.
	ListenerSettings, ManagerSettings []string

	program string
	prepare func(gateway *Gateway, directory string, pair *KeyPair) (*launch, error)
}

// launch is how a gateway is started, and what must be ended with it.
type launch struct {
	arguments, variables []string
	stop                 func()
}

// Running is a started gateway.
type Running struct {
	*Gateway
	*machine.Process
	*KeyPair
	stop func()
}

// Stop ends the gateway and what was started for it.
func (r *Running) Stop() {
	r.Process.Stop()
	r.stop()
}

// Selvedge is the gateway under test, which serves a folder: the program that SELVEDGE_BINARY names, or
// the build of the project.
func Selvedge(c *cluster.Cluster) (*Gateway, error) {
	program, err := c.Selvedge()
	return &Gateway{
		Name: "selvedge", HTTP: 8080, HTTPS: 8443, Backend: 7001, HTTP2Backend: 7002, Host: Host, HTTP2Host: HTTP2Host,
		ManagerSettings: []string{NoIdleLimit}, program: program, prepare: writeFolder,
	}, err
}

// SelvedgeWithListeners is the same with Envoy's listeners over ADS, for settings that no folder has.
func SelvedgeWithListeners(c *cluster.Cluster) (*Gateway, error) {
	gateway, err := Selvedge(c)
	gateway.prepare = serveListeners
	return gateway, err
}

// Envoy is the gateway that Selvedge is compared with.
func Envoy(c *cluster.Cluster) (*Gateway, error) {
	program, err := c.Envoy()
	return &Gateway{
		Name: "envoy", HTTP: 8180, HTTPS: 8543, Backend: 7101, HTTP2Backend: 7102, Host: Host, HTTP2Host: HTTP2Host,
		ManagerSettings: []string{NoIdleLimit}, program: program, prepare: writeEnvoy,
	}, err
}

// Start runs the gateway with one worker and returns once both ports take connections. What it writes
// stays in the directory.
func (g *Gateway) Start(directory string) (*Running, error) {
	directory = filepath.Join(directory, g.Name)
	if err := os.MkdirAll(directory, 0o755); err != nil {
		return nil, err
	}
	pair, err := newKeyPair(directory)
	if err != nil {
		return nil, err
	}
	launch, err := g.prepare(g, directory, pair)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", g.Name, err)
	}
	if launch.stop == nil {
		launch.stop = func() {}
	}
	command := machine.Command(machine.AnyCore, g.program, launch.arguments...)
	command.Env = append(os.Environ(), launch.variables...)
	process, err := machine.Start(command, filepath.Join(directory, "output"))
	if err != nil {
		launch.stop()
		return nil, fmt.Errorf("%s: %w", g.Name, err)
	}
	running := &Running{Gateway: g, Process: process, KeyPair: pair, stop: launch.stop}
	if err := process.Await(startLimit, 20*time.Millisecond, g.accepts); err != nil {
		running.Stop()
		return nil, fmt.Errorf("%s: %w", g.Name, err)
	}
	return running, nil
}

func (g *Gateway) accepts() error { return errors.Join(accepts(g.HTTP), accepts(g.HTTPS)) }

func accepts(port int) error {
	connection, err := net.Dial("tcp", Address(port))
	if err != nil {
		return err
	}
	return connection.Close()
}

// Address of a port of this machine.
func Address(port int) string { return fmt.Sprintf("127.0.0.1:%d", port) }

// AwaitPort returns once a port of this machine takes connections.
func AwaitPort(port int) error {
	deadline := time.Now().Add(startLimit)
	for {
		err := accepts(port)
		if err == nil || time.Now().After(deadline) {
			return err
		}
		time.Sleep(20 * time.Millisecond)
	}
}

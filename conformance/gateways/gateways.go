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

// Host is the host that both gateways serve, with every path leading to the backend.
const Host = "hostile.test"

const startLimit = 20 * time.Second

// Gateway is one gateway and where it is found.
type Gateway struct {
	// Name is "selvedge" or "envoy".
	Name string
	// HTTP and HTTPS are its ports on 127.0.0.1. Both speak HTTP/1.1 and HTTP/2.
	HTTP, HTTPS int
	// Backend is the port on 127.0.0.1 that its requests go to, in HTTP/1.1.
	Backend int
	// HTTP2Backend is the port that requests for HTTP2Host go to, in HTTP/2.
	HTTP2Backend int

	program string
	prepare func(gateway *Gateway, directory string, pair *keyPair) (arguments []string, err error)
}

// HTTP2Host is the host whose backend speaks HTTP/2 in clear text.
const HTTP2Host = "http2.test"

// Running is a started gateway.
type Running struct {
	*Gateway
	*machine.Process
}

// Selvedge is the gateway under test: the program that SELVEDGE_BINARY names, or the build of the project.
func Selvedge(c *cluster.Cluster) (*Gateway, error) {
	program, err := c.Selvedge()
	return &Gateway{
		Name: "selvedge", HTTP: 8080, HTTPS: 8443, Backend: 7001, HTTP2Backend: 7002, program: program, prepare: writeFolder,
	}, err
}

// Envoy is the gateway that Selvedge is compared with.
func Envoy(c *cluster.Cluster) (*Gateway, error) {
	program, err := c.Envoy()
	return &Gateway{
		Name: "envoy", HTTP: 8180, HTTPS: 8543, Backend: 7101, HTTP2Backend: 7102, program: program, prepare: writeEnvoy,
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
	arguments, err := g.prepare(g, directory, pair)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", g.Name, err)
	}
	process, err := machine.Start(machine.Command(machine.AnyCore, g.program, arguments...), filepath.Join(directory, "output"))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", g.Name, err)
	}
	running := &Running{Gateway: g, Process: process}
	if err := process.Await(startLimit, 20*time.Millisecond, g.accepts); err != nil {
		process.Stop()
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

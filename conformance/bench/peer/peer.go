// Package peer starts Selvedge and the proxies it is compared with. All offer the same ports and lead
// to the same backend, with as many workers.
package peer

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"selvedge.dev/conformance/bench/load"
	"selvedge.dev/conformance/bench/machine"
)

// The ports that every proxy offers.
const (
	HTTP      = 8080
	HTTP2     = 8081
	HTTPS     = 8443
	HTTPSRSA  = 8444
	TCPHTTP   = 9001
	TCPEcho   = 9002
	TCPSink   = 9003
	TCPSource = 9004
)

const (
	startLimit = 20 * time.Second
	// adminPort is where a proxy that has an admin interface offers it.
	adminPort = 15000
)

// Peer is one proxy in one configuration.
type Peer struct {
	// Name is its short name in results.
	Name string
	// Title heads its column.
	Title string
	// Configuration says in a sentence how it is configured, for the report.
	Configuration string
	// HTTPOnly peers differ from another one only in what they do to HTTP.
	HTTPOnly bool

	program string
	// newer peers are programs that conformance/bench/newer unpacks.
	newer bool
	// version are the arguments that make the program say its version.
	version []string
	// prepare writes what the program reads into a folder and returns its arguments and variables.
	prepare func(setup *Setup, directory string, workers int) (arguments, variables []string, err error)
}

// Setup is what peers need to start.
type Setup struct {
	// Directory on a tmpfs for everything that is written.
	Directory string
	// Bench is the folder conformance/bench.
	Bench string
	// Selvedge and Envoy are the programs.
	Selvedge, Envoy string
	// Newer is where conformance/bench/newer puts programs.
	Newer        string
	Certificates *Certificates
}

// Running is a started peer.
type Running struct {
	*machine.Process
	stop func()
}

// Stop ends the peer and all that was started for it.
func (r *Running) Stop() {
	r.Process.Stop()
	r.stop()
}

// Start runs the peer on a core, with so many workers, and returns once it answers.
func (p *Peer) Start(setup *Setup, core, workers int) (*Running, error) {
	if p.IsNone() {
		return startNone(setup)
	}
	directory := filepath.Join(setup.Directory, p.Name)
	if err := errors.Join(os.RemoveAll(directory), os.MkdirAll(directory, 0o755)); err != nil {
		return nil, err
	}
	stop, err := p.startControlPlane(setup)
	if err != nil {
		return nil, err
	}
	arguments, variables, err := p.prepare(setup, directory, workers)
	if err != nil {
		stop()
		return nil, fmt.Errorf("%s: %w", p.Name, err)
	}
	command := machine.Command(core, p.path(setup), arguments...)
	command.Env = append(os.Environ(), variables...)
	process, err := machine.Start(command, filepath.Join(directory, "output"))
	if err != nil {
		stop()
		return nil, fmt.Errorf("%s: %w", p.Name, err)
	}
	running := &Running{Process: process, stop: stop}
	if err := process.Await(startLimit, 10*time.Millisecond, Answers); err != nil {
		running.Stop()
		return nil, fmt.Errorf("%s: %w", p.Name, err)
	}
	return running, nil
}

func (p *Peer) path(setup *Setup) string {
	switch p.program {
	case selvedgeProgram:
		return setup.Selvedge
	case envoyProgram:
		return setup.Envoy
	}
	if p.newer {
		return filepath.Join(setup.Newer, "bin", p.program)
	}
	return p.program
}

// Missing says that the peer's program would have to be unpacked first.
func (p *Peer) Missing(setup *Setup) bool {
	if !p.newer {
		return false
	}
	_, err := os.Stat(p.path(setup))
	return err != nil
}

// Answers says whether a proxy serves clear HTTP and HTTPS.
func Answers() error {
	transport := &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{InsecureSkipVerify: true, ServerName: load.Host}}
	client := &http.Client{Transport: transport, Timeout: time.Second}
	for _, url := range []string{fmt.Sprintf("http://127.0.0.1:%d/0", HTTP), fmt.Sprintf("https://127.0.0.1:%d/0", HTTPS)} {
		request, err := http.NewRequest(http.MethodGet, url, nil)
		if err != nil {
			return err
		}
		request.Host = load.Host
		response, err := client.Do(request)
		if err != nil {
			return err
		}
		if err := response.Body.Close(); err != nil {
			return err
		}
		if response.StatusCode != http.StatusOK {
			return fmt.Errorf("%s: %s", url, response.Status)
		}
	}
	return nil
}

// All are the peers in the order of the report's columns; Selvedge comes first.
func All() []*Peer {
	return []*Peer{selvedge(), selvedgeIstio(), selvedgeEpoll(), envoyBare(), envoyIstio(), haproxy(), nginx(), nginxEdits(), haproxyNewer(), nginxNewer()}
}

package suites

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"selvedge.dev/conformance/gateways"
)

// interopCases are those of gRPC's interoperability tests that need no credentials of a cloud.
var interopCases = []string{
	"empty_unary", "large_unary", "client_streaming", "server_streaming", "ping_pong", "empty_stream",
	"timeout_on_sleeping_server", "cancel_after_begin", "cancel_after_first_response",
	"status_code_and_message", "special_status_message", "custom_metadata", "unimplemented_method", "unimplemented_service",
}

// runInterop puts the gateway between the client and the server of gRPC's interoperability tests.
func runInterop(l *Lab) ([]Result, error) {
	gateway, err := l.start(gateways.Selvedge, func(g *gateways.Gateway) { g.HTTP2Host = gateways.Any })
	if err != nil {
		return nil, err
	}
	defer gateway.Stop()
	stop, err := l.background("interop server", gateway.HTTP2Backend, "tools/interop/server", "-port", strconv.Itoa(gateway.HTTP2Backend))
	if err != nil {
		return nil, err
	}
	defer stop()
	var results []Result
	for _, way := range []struct {
		name      string
		arguments []string
	}{
		{"clear text", []string{"-server_port", strconv.Itoa(gateway.HTTP)}},
		{"TLS", []string{"-server_port", strconv.Itoa(gateway.HTTPS), "-use_tls", "-use_test_ca", "-ca_file", gateway.ChainFile}},
	} {
		for _, name := range interopCases {
			results = append(results, l.interop(way.name, name, way.arguments))
		}
	}
	return results, nil
}

// interop runs one case; the client's status says how it went.
func (l *Lab) interop(way, name string, arguments []string) Result {
	result := Result{Name: way + ": " + name}
	arguments = append([]string{"-server_host", "127.0.0.1", "-test_case", name}, arguments...)
	command := exec.Command(l.program("tools/interop/client"), arguments...)
	timer := time.AfterFunc(time.Minute, func() { _ = command.Process.Kill() })
	defer timer.Stop()
	output, err := command.CombinedOutput()
	if err != nil {
		lines := strings.Split(strings.TrimSpace(string(output)), "\n")
		result.Problem = err.Error() + ": " + lines[len(lines)-1]
	}
	return result
}

// background runs a program until the result is called, and returns once a port takes connections.
func (l *Lab) background(log string, port int, name string, arguments ...string) (func(), error) {
	file, err := os.Create(filepath.Join(l.Logs, log+".log"))
	if err != nil {
		return nil, err
	}
	command := exec.Command(l.program(name), arguments...)
	command.Stdout, command.Stderr = file, file
	command.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := command.Start(); err != nil {
		return nil, errors.Join(err, file.Close())
	}
	stop := func() {
		_ = command.Process.Kill()
		_ = command.Wait()
		_ = file.Close()
	}
	if err := gateways.AwaitPort(port); err != nil {
		stop()
		return nil, err
	}
	return stop, nil
}

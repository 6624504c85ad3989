package suites

import (
	"bytes"
	"encoding/csv"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"selvedge.dev/conformance/gateways"
)

// The settings of the gateway, and how slow its clients are: they say something every second, less than
// the gateway waits for.
var slowSettings = []string{"request_headers_timeout: 3s", "request_timeout: 4s", "stream_idle_timeout: 3s"}

const (
	slowConnections = 40
	// slowSeconds is when slowhttptest gives up, long after the gateway, and noneLeft what it says if it has nothing to give up.
	slowSeconds = "20"
	noneLeft    = "No open connections left"
)

// runSlow opens connections that are slow in three ways: the gateway ends all of them, by its limits.
func runSlow(l *Lab) ([]Result, error) {
	gateway, err := l.start(gateways.SelvedgeWithListeners, func(g *gateways.Gateway) {
		g.Host, g.ManagerSettings = gateways.Any, slowSettings
	})
	if err != nil {
		return nil, err
	}
	defer gateway.Stop()
	stop, err := serveBackend(gateway.Backend)
	if err != nil {
		return nil, err
	}
	defer stop()
	url := "http://" + gateways.Address(gateway.HTTP)
	var results []Result
	for _, mode := range []struct {
		name      string
		arguments []string
	}{
		{"slow heads", []string{"-H", "-i", "1", "-u", url + "/"}},
		{"slow bodies", []string{"-B", "-i", "1", "-s", "8192", "-u", url + "/"}},
		// One byte now and then from a window of a few.
		{"slow reading", []string{"-X", "-n", "5", "-z", "1", "-w", "16", "-y", "32", "-u", url + "/large"}},
	} {
		result, err := l.slow(mode.name, gateway.HTTP, mode.arguments)
		if err != nil {
			return nil, err
		}
		results = append(results, result)
	}
	return results, nil
}

// slow lets slowhttptest open its connections and waits until the gateway has ended all of them, which it
// must have while slowhttptest still holds them. slowhttptest's own count is late by a second, and it
// does not notice an end behind data that it does not read.
func (l *Lab) slow(name string, port int, arguments []string) (Result, error) {
	prefix := filepath.Join(l.Directory, "slow")
	arguments = append(arguments, "-c", strconv.Itoa(slowConnections), "-r", strconv.Itoa(slowConnections), "-l", slowSeconds, "-p", "5", "-g", "-o", prefix)
	var output string
	ended := make(chan error, 1)
	go func() {
		var err error
		output, err = l.command("slowhttptest "+name, "slowhttptest", arguments...)
		ended <- err
	}()
	most, least, err := watchConnections(port, ended)
	if err != nil {
		return Result{}, err
	}
	if strings.Contains(output, noneLeft) {
		least = 0
	}
	result := Result{Name: name}
	// The probe of slowhttptest is a connection, too.
	if most < slowConnections || least > 1 {
		result.Problem = fmt.Sprintf("of %d connections %d stayed open", most, least)
	}
	served, err := servedOthers(prefix + ".csv")
	if err == nil && !served {
		result.Problem = "other clients were not served meanwhile"
	}
	return result, err
}

// watchConnections counts established connections to a port until slowhttptest ends: the most, and the
// least after that.
func watchConnections(port int, ended <-chan error) (most, least int, err error) {
	for {
		select {
		case err := <-ended:
			return most, least, err
		case <-time.After(100 * time.Millisecond):
		}
		count, err := established(port)
		if err != nil {
			return 0, 0, err
		}
		if count >= most {
			most, least = count, count
		}
		least = min(least, count)
	}
}

// established counts connections of the kernel's table whose local port it is and that no side has closed.
func established(port int) (int, error) {
	data, err := os.ReadFile("/proc/net/tcp")
	if err != nil {
		return 0, err
	}
	count, local := 0, fmt.Sprintf(":%04X", port)
	for line := range strings.Lines(string(data)) {
		if fields := strings.Fields(line); len(fields) > 3 && strings.HasSuffix(fields[1], local) && fields[3] == "01" {
			count++
		}
	}
	return count, nil
}

// servedOthers reads slowhttptest's report: seconds, closed, pending, connected, and whether others are served.
func servedOthers(file string) (bool, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return false, fmt.Errorf("slowhttptest has no report: %w", err)
	}
	rows, err := csv.NewReader(bytes.NewReader(data)).ReadAll()
	if err != nil {
		return false, err
	}
	for _, row := range rows[min(1, len(rows)):] {
		if len(row) < 5 {
			return false, fmt.Errorf("slowhttptest's report has the row %q", row)
		}
		if row[4] == "0" {
			return false, nil
		}
	}
	return len(rows) > 1, nil
}

package suites

import (
	"encoding/csv"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"selvedge.dev/conformance/gateways"
)

// The settings of the gateway, and how slow its clients are: they say something every second, less than
// the gateway waits for.
var slowSettings = []string{"request_headers_timeout: 3s", "request_timeout: 4s", "stream_idle_timeout: 3s"}

const (
	slowConnections = "40"
	// slowSeconds is when slowhttptest gives up.
	slowSeconds = "30"
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
		{"slow reading", []string{"-X", "-n", "30", "-z", "1", "-w", "16", "-y", "32", "-u", url + "/large"}},
	} {
		result, err := l.slow(mode.name, mode.arguments)
		if err != nil {
			return nil, err
		}
		results = append(results, result)
	}
	return results, nil
}

func (l *Lab) slow(name string, arguments []string) (Result, error) {
	prefix := filepath.Join(l.Directory, "slow")
	arguments = append(arguments, "-c", slowConnections, "-r", slowConnections, "-l", slowSeconds, "-p", "5", "-g", "-o", prefix)
	output, err := l.command("slowhttptest "+name, "slowhttptest", arguments...)
	if err != nil {
		return Result{}, err
	}
	data, err := os.ReadFile(prefix + ".csv")
	if err != nil {
		return Result{}, fmt.Errorf("slowhttptest has no report: %s", lastLines(output, 3))
	}
	return slowResult(name, string(data))
}

// slowResult reads the rows of a report: seconds, closed, pending, connected, and whether others are served.
func slowResult(name, report string) (Result, error) {
	rows, err := csv.NewReader(strings.NewReader(report)).ReadAll()
	if err != nil || len(rows) < 2 {
		return Result{}, fmt.Errorf("slowhttptest's report: %w: %.200s", err, report)
	}
	result := Result{Name: name}
	for _, row := range rows[1:] {
		if len(row) < 5 {
			return Result{}, fmt.Errorf("slowhttptest's report has the row %q", row)
		}
		if row[4] == "0" {
			result.Problem = "other clients were not served at second " + row[0]
		}
	}
	if last := rows[len(rows)-1]; last[1] != slowConnections {
		result.Problem = fmt.Sprintf("%s of %s connections were closed", last[1], slowConnections)
	}
	return result, nil
}

package suites

import (
	"encoding/xml"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"selvedge.dev/conformance/gateways"
)

// arguable is a case of h2spec on a clear port that also speaks HTTP/1.1: what is no preface of HTTP/2 is a
// malformed request of HTTP/1.1 there, and answered as such. It is stated, and counted as nothing.
const arguable = "Sends invalid connection preface"

// junit is the part of h2spec's report that matters.
type junit struct {
	Suites []struct {
		Package string `xml:"package,attr"`
		Cases   []struct {
			Class   string  `xml:"classname,attr"`
			Failure *string `xml:"failure"`
			Error   *string `xml:"error"`
			Skipped *string `xml:"skipped"`
		} `xml:"testcase"`
	} `xml:"testsuite"`
}

// runH2spec holds the gateway to the rules of HTTP/2 and HPACK, on the clear port and over TLS.
func runH2spec(l *Lab) ([]Result, error) {
	gateway, err := l.start(gateways.Selvedge, func(g *gateways.Gateway) { g.Host = gateways.Any })
	if err != nil {
		return nil, err
	}
	defer gateway.Stop()
	stop, err := serveBackend(gateway.Backend)
	if err != nil {
		return nil, err
	}
	defer stop()
	clear, err := l.h2spec("clear text", gateway.HTTP)
	if err != nil {
		return nil, err
	}
	secure, err := l.h2spec("TLS", gateway.HTTPS, "-t", "-k")
	return append(clear, secure...), err
}

func (l *Lab) h2spec(name string, port int, more ...string) ([]Result, error) {
	report := filepath.Join(l.Directory, "h2spec.xml")
	if err := os.RemoveAll(report); err != nil {
		return nil, err
	}
	arguments := append([]string{"-S", "-o", "3", "-h", "127.0.0.1", "-p", strconv.Itoa(port), "-P", "/1024", "-j", report}, more...)
	output, err := l.command("h2spec "+name, "tools/h2spec", arguments...)
	if err != nil {
		return nil, err
	}
	data, err := os.ReadFile(report)
	if err != nil {
		return nil, fmt.Errorf("h2spec has no report: %s", output)
	}
	return h2specResults(name, data)
}

// h2specResults reads a report.
func h2specResults(name string, data []byte) ([]Result, error) {
	var report junit
	if err := xml.Unmarshal(data, &report); err != nil {
		return nil, err
	}
	var results []Result
	for _, suite := range report.Suites {
		for _, c := range suite.Cases {
			result := Result{Name: fmt.Sprintf("%s: %s %s", name, suite.Package, c.Class)}
			failure := c.Failure
			if failure == nil {
				failure = c.Error
			}
			switch {
			case c.Skipped != nil:
				result.Problem = "h2spec skipped it: " + strings.TrimSpace(*c.Skipped)
			case failure != nil && name != "TLS" && c.Class == arguable:
				result.Skipped = "arguable: the port speaks HTTP/1.1 as well, and answers 400"
			case failure != nil:
				result.Problem = strings.Join(strings.Fields(*failure), " ")
			}
			results = append(results, result)
		}
	}
	return results, nil
}

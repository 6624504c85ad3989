package suites

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"

	"selvedge.dev/conformance/gateways"
)

// connectFeatures is what a run of the suite is about. The gateway serves both versions of HTTP on both
// ports; what a version of HTTP leads to is a matter of its configuration.
const connectFeatures = `features:
  versions: [%s]
  protocols: [%s]
  codecs: [CODEC_PROTO]
  compressions: [COMPRESSION_IDENTITY, COMPRESSION_GZIP]
  supports_h2c: %t
  supports_tls: true
  supports_tls_client_certs: false
  supports_half_duplex_bidi_over_http1: true
`

// What the suite's words look like.
var (
	connectFailure = regexp.MustCompile(`(?m)^FAILED: (.*?):?$`)
	connectTotal   = regexp.MustCompile(`(?m)^(\d+) passed, (\d+) failed`)
)

// runConnect runs the cases of connectrpc.com for gRPC, gRPC-Web and Connect through the gateway. Its routes
// do not look at grpc-timeout, as those of istiod do: whether the gateway's answer to a deadline (14) or the
// client's own (4) comes first would be chance.
func runConnect(l *Lab) ([]Result, error) {
	var results []Result
	for _, way := range []struct {
		name, versions, protocols string
		clearHTTP2                bool
		configure                 func(*gateways.Gateway)
		backend                   func(*gateways.Gateway) int
	}{
		{"gRPC, gRPC-Web and Connect over HTTP/2", "HTTP_VERSION_2", "PROTOCOL_GRPC, PROTOCOL_GRPC_WEB, PROTOCOL_CONNECT", true,
			func(g *gateways.Gateway) { g.HTTP2Host = gateways.Any }, func(g *gateways.Gateway) int { return g.HTTP2Backend }},
		{"gRPC-Web and Connect over HTTP/1.1", "HTTP_VERSION_1", "PROTOCOL_GRPC_WEB, PROTOCOL_CONNECT", false,
			func(g *gateways.Gateway) { g.Host = gateways.Any }, func(g *gateways.Gateway) int { return g.Backend }},
	} {
		gateway, err := l.start(gateways.SelvedgeWithListeners, way.configure)
		if err != nil {
			return nil, err
		}
		part, err := l.connect(way.name, fmt.Sprintf(connectFeatures, way.versions, way.protocols, way.clearHTTP2), gateway, way.backend(gateway.Gateway))
		gateway.Stop()
		if err != nil {
			return nil, err
		}
		results = append(results, part...)
	}
	return results, nil
}

func (l *Lab) connect(name, features string, gateway *gateways.Running, backend int) ([]Result, error) {
	file := filepath.Join(l.Directory, "connect.yaml")
	if err := os.WriteFile(file, []byte(features), 0o644); err != nil {
		return nil, err
	}
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	output, err := l.command("connect "+strings.ReplaceAll(name, "/", " "), "tools/connectconformance", "--mode", "server", "--conf", file,
		"--max-servers", "1", "--", self, "connect-server", l.program("tools/referenceserver"), strconv.Itoa(backend),
		strconv.Itoa(gateway.HTTP), strconv.Itoa(gateway.HTTPS), gateway.ChainFile)
	if err != nil {
		return nil, err
	}
	return connectResults(name, output)
}

// connectResults reads the failures and the total; what passed is not named.
func connectResults(name, output string) ([]Result, error) {
	total := connectTotal.FindStringSubmatch(output)
	if total == nil {
		return nil, fmt.Errorf("connectconformance did not finish: %s", lastLines(output, 5))
	}
	passed, err := strconv.Atoi(total[1])
	if err != nil {
		return nil, err
	}
	var results []Result
	for range passed {
		results = append(results, Result{Name: name})
	}
	for _, match := range connectFailure.FindAllStringSubmatchIndex(output, -1) {
		reason, _, _ := strings.Cut(strings.TrimSpace(output[match[1]:]), "\n")
		results = append(results, Result{Name: name + ": " + output[match[2]:match[3]], Problem: strings.TrimSpace(reason)})
	}
	if len(results) == 0 || strconv.Itoa(len(results)-passed) != total[2] {
		return nil, fmt.Errorf("connectconformance counts %s failures and names %d", total[2], len(results)-passed)
	}
	return results, nil
}

func lastLines(text string, count int) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return strings.Join(lines[max(0, len(lines)-count):], "\n")
}

package entrances

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"

	"istio.io/istio/pkg/hbone"
	istiolog "istio.io/istio/pkg/log"
)

// patience is how long anything may take to come about.
const patience = 20 * time.Second

// checks in their order: the last one leaves an edge dead.
var checks = []struct {
	name string
	run  func(*Site) (figure string, err error)
}{
	{"an Envoy gateway shares requests between edges by weight", (*Site).weights},
	{"an Envoy gateway speaks HTTP/2 to a service that does", (*Site).http2},
	{"an Envoy gateway does not take another identity for ours", (*Site).wrongIdentity},
	{"a tunnel of Envoy (HBONE) carries a connection with its halves", (*Site).envoyTunnel},
	{"a tunnel of Istio's own client (HBONE) carries a connection", (*Site).istioTunnel},
	{"a tunnel that leads elsewhere is refused", (*Site).wrongTunnel},
	{"an Envoy gateway goes on with the other edge when one dies", (*Site).failover},
}

// Run runs the checks whose names contain any of these, all if there are none.
func (s *Site) Run(only []string, out io.Writer) (passed, failed int) {
	istiolog.FindScope("hbone").SetOutputLevel(istiolog.NoneLevel)
	for _, check := range checks {
		if len(only) > 0 && !slices.ContainsFunc(only, func(part string) bool { return strings.Contains(check.name, part) }) {
			continue
		}
		figure, err := check.run(s)
		if err != nil {
			failed++
			fmt.Fprintf(out, "FAILED %s: %v\n", check.name, err)
			continue
		}
		passed++
		fmt.Fprintf(out, "ok     %s: %s\n", check.name, figure)
	}
	return passed, failed
}

// word is who answered a request to Envoy.
func (s *Site) word(port int) (string, error) {
	response, err := http.Get(fmt.Sprintf("http://127.0.0.1:%d/", port))
	if err != nil {
		return "", err
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return "", err
	}
	if response.StatusCode != http.StatusOK {
		return "", fmt.Errorf("%s: %s", response.Status, body)
	}
	return string(body), nil
}

func (s *Site) weights() (string, error) {
	const requests = 1000
	counts := map[string]int{}
	for range requests {
		word, err := s.word(weightedPort)
		if err != nil {
			return "", err
		}
		counts[word]++
	}
	// Four standard deviations of a draw with 70 %.
	if counts["b"]+counts["c"] != requests || counts["b"] < 640 || counts["b"] > 760 {
		return "", fmt.Errorf("%v of %d, wanted 70 %% from b", counts, requests)
	}
	return fmt.Sprintf("%d from b, %d from c", counts["b"], counts["c"]), nil
}

func (s *Site) http2() (string, error) {
	word, err := s.word(http2Port)
	if err == nil && word != "b HTTP/2.0" {
		err = fmt.Errorf("the backend says %q", word)
	}
	return word, err
}

func (s *Site) wrongIdentity() (string, error) {
	if word, err := s.word(wrongIdentityPort); err == nil {
		return "", fmt.Errorf("%s answered", word)
	}
	const counter = "cluster.wrong.ssl.fail_verify_san"
	response, err := http.Get(fmt.Sprintf("http://127.0.0.1:%d/stats?filter=%s", adminPort, counter))
	if err != nil {
		return "", err
	}
	defer func() { _ = response.Body.Close() }()
	page, err := io.ReadAll(response.Body)
	text := strings.TrimSpace(string(page))
	if err == nil && (!strings.HasPrefix(text, counter) || strings.HasSuffix(text, " 0")) {
		err = fmt.Errorf("Envoy counts %q", text)
	}
	return text, err
}

// conversation sends so much, ends its half, and wants all of it back.
func conversation(connection net.Conn) (string, error) {
	defer func() { _ = connection.Close() }()
	if err := connection.SetDeadline(time.Now().Add(patience)); err != nil {
		return "", err
	}
	sent := bytes.Repeat([]byte("0123456789abcdef"), 1<<16)
	failed := make(chan error, 1)
	go func() {
		_, err := connection.Write(sent)
		if half, can := connection.(interface{ CloseWrite() error }); can && err == nil {
			err = half.CloseWrite()
		}
		failed <- err
	}()
	received := make([]byte, len(sent))
	if _, err := io.ReadFull(connection, received); err != nil {
		return "", err
	}
	if err := <-failed; err != nil {
		return "", err
	}
	if !bytes.Equal(sent, received) {
		return "", errors.New("other bytes came back")
	}
	if _, can := connection.(interface{ CloseWrite() error }); can {
		rest, err := io.ReadAll(connection)
		if err != nil || string(rest) != "end" {
			return "", fmt.Errorf("after our end came %q, %w", rest, err)
		}
	}
	return fmt.Sprintf("%d bytes there and back", len(sent)), nil
}

func (s *Site) envoyTunnel() (string, error) {
	connection, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", tunnelPort))
	if err != nil {
		return "", err
	}
	return conversation(connection)
}

func (s *Site) istioTunnel() (string, error) {
	connection, err := s.tunnel(s.target("b", "echo", 90))
	if err != nil {
		return "", err
	}
	return conversation(connection)
}

func (s *Site) wrongTunnel() (string, error) {
	connection, err := s.tunnel("127.0.0.1:22")
	if err == nil {
		_ = connection.Close()
		return "", errors.New("it was opened")
	}
	return err.Error(), nil
}

func (s *Site) tunnel(to string) (net.Conn, error) {
	dialer := hbone.NewDialer(hbone.Config{ProxyAddress: s.address("b") + ":15008", TLS: s.client})
	return dialer.Dial("tcp", to)
}

// failover kills an edge as a machine does that loses its power. What Envoy has asked of it is tried again, as a VirtualService may say.
func (s *Site) failover() (string, error) {
	s.edges["b"].Kill()
	const requests = 50
	var slowest time.Duration
	for number := range requests {
		started := time.Now()
		word, err := s.word(failoverPort)
		if err != nil {
			return "", fmt.Errorf("request %d: %w", number+1, err)
		}
		if word != "c" {
			return "", fmt.Errorf("%q answered", word)
		}
		slowest = max(slowest, time.Since(started))
	}
	return fmt.Sprintf("%d of %d from c, the slowest after %s", requests, requests, slowest.Round(time.Millisecond)), nil
}

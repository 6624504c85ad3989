package flood

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"golang.org/x/net/http2"

	"selvedge.dev/conformance/gateways"
)

// patience is how long an honest client waits for an answer.
const patience = 10 * time.Second

// victim is an honest client with one connection.
type victim struct {
	only *http2.ClientConn
	url  string
}

// newVictim connects and sees to it that a request is answered.
func newVictim(port int) (*victim, error) {
	connection, err := net.Dial("tcp", gateways.Address(port))
	if err != nil {
		return nil, err
	}
	transport := &http2.Transport{AllowHTTP: true}
	only, err := transport.NewClientConn(connection)
	if err != nil {
		return nil, err
	}
	v := &victim{only, fmt.Sprintf("http://%s", gateways.Address(port))}
	return v, v.request()
}

func (v *victim) close() { _ = v.only.Close() }

// request sends one request over the connection and checks the answer.
func (v *victim) request() error {
	_, err := v.exchange(http.MethodGet, "/victim", nil)
	return err
}

// exchange sends a request, reads its answer, and returns its size.
func (v *victim) exchange(method, target string, upload io.Reader) (int, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, method, v.url+target, upload)
	if err != nil {
		return 0, err
	}
	request.Host = gateways.Host
	response, err := v.only.RoundTrip(request)
	if err != nil {
		return 0, err
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return len(body), err
	}
	if response.StatusCode != http.StatusOK || target != largeTarget && string(body) != method+" "+target {
		return len(body), fmt.Errorf("%s %.100q", response.Status, body)
	}
	return len(body), nil
}

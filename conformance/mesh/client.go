package mesh

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// client opens a connection for each request, so that no answer depends on the one before.
var client = &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}

// ask sends a request and wants a 200; the header "edge" is sent if it is not empty.
func ask(address, path, edge string) (string, error) {
	request, err := http.NewRequest(http.MethodGet, "http://"+address+path, nil)
	if err != nil {
		return "", err
	}
	if edge != "" {
		request.Header.Set("edge", edge)
	}
	response, err := client.Do(request)
	if err != nil {
		return "", err
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(response.Body, 1<<20))
	if err == nil && response.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", response.Status, body)
	}
	return string(body), err
}

// backend answers every request with its name, in one piece.
type backend struct {
	name string
	// isHTTP2 has it speak clear HTTP/2 alone, and say what it speaks.
	isHTTP2 bool
	// isFailing has it answer with 503.
	isFailing atomic.Bool
	// asked are the ids of requests for "/again", of which each first try fails.
	asked sync.Map
	// tries of those.
	tries atomic.Int64
}

// serve answers until this program ends.
func (b *backend) serve(address string) error {
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	protocols := new(http.Protocols)
	protocols.SetHTTP1(!b.isHTTP2)
	protocols.SetUnencryptedHTTP2(b.isHTTP2)
	server := &http.Server{ReadHeaderTimeout: time.Minute, Handler: b, Protocols: protocols}
	go func() { _ = server.Serve(listener) }()
	return nil
}

func (b *backend) ServeHTTP(response http.ResponseWriter, request *http.Request) {
	if b.isFailing.Load() || b.isFirstTry(request) {
		response.WriteHeader(http.StatusServiceUnavailable)
	}
	answer := b.name
	if b.isHTTP2 {
		answer += " " + request.Proto
	}
	_, _ = io.WriteString(response, answer)
}

func (b *backend) isFirstTry(request *http.Request) bool {
	if request.URL.Path != "/again" {
		return false
	}
	b.tries.Add(1)
	_, isKnown := b.asked.LoadOrStore(request.Header.Get("x-request-id"), true)
	return !isKnown
}

// await polls until there is no error, and returns how long that took.
func await(limit time.Duration, condition func() error) (time.Duration, error) {
	started := time.Now()
	for {
		err := condition()
		took := time.Since(started)
		if err == nil || took > limit {
			return took, err
		}
		time.Sleep(20 * time.Millisecond)
	}
}

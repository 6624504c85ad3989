package mesh

import (
	"fmt"
	"io"
	"net"
	"net/http"
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

// backend answers every request with its name, in one piece, until this program ends.
func backend(name, address string) error {
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	server := &http.Server{ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(func(response http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(response, name)
	})}
	go func() { _ = server.Serve(listener) }()
	return nil
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

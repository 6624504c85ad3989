package cluster

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"runtime"
	"time"

	"golang.org/x/sys/unix"
)

// longestAnswer bounds what an admin port may send.
const longestAnswer = 256 << 20

// Get fetches a path from a port that the pod's program opens on the pod's own loopback, as
// "kubectl port-forward" would.
func (p *Pod) Get(port int, path string) ([]byte, error) {
	transport := &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(context.Context, string, string) (net.Conn, error) {
			return dialInside(p.NetworkNamespace, fmt.Sprintf("127.0.0.1:%d", port))
		},
	}
	client := &http.Client{Timeout: 10 * time.Second, Transport: transport}
	response, err := client.Get(fmt.Sprintf("http://127.0.0.1:%d%s", port, path))
	if err != nil {
		return nil, err
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(response.Body, longestAnswer))
	if err == nil && response.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", path, response.Status)
	}
	return body, err
}

// dialInside opens a connection from inside a network namespace. Namespaces belong to threads: the
// goroutine keeps the thread that went there to itself, and the thread ends with it.
func dialInside(namespace, address string) (net.Conn, error) {
	type result struct {
		connection net.Conn
		err        error
	}
	done := make(chan result)
	go func() {
		runtime.LockOSThread()
		connection, err := dialFromThread(namespace, address)
		done <- result{connection, err}
	}()
	r := <-done
	return r.connection, r.err
}

func dialFromThread(namespace, address string) (net.Conn, error) {
	there, err := os.Open("/run/netns/" + namespace)
	if err != nil {
		return nil, err
	}
	defer func() { _ = there.Close() }()
	if err := unix.Setns(int(there.Fd()), unix.CLONE_NEWNET); err != nil {
		return nil, fmt.Errorf("enter %s: %w", namespace, err)
	}
	return net.DialTimeout("tcp", address, time.Second)
}

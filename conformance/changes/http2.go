package changes

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"golang.org/x/net/http2"

	"selvedge.dev/conformance/echo"
)

// notSent is what the client says of a request that it has kept to itself.
const notSent = "http2: client conn not usable"

// http2Session is a connection of HTTP/2 on which request follows request.
type http2Session struct {
	client *http2.ClientConn
}

func overHTTP2(dial func() (net.Conn, error)) func() (session, error) {
	return func() (session, error) {
		client, err := dialHTTP2(dial)
		if err != nil {
			return nil, err
		}
		return &http2Session{client}, nil
	}
}

func dialHTTP2(dial func() (net.Conn, error)) (*http2.ClientConn, error) {
	connection, err := dial()
	if err != nil {
		return nil, err
	}
	client, err := (&http2.Transport{AllowHTTP: true}).NewClientConn(connection)
	if err != nil {
		_ = connection.Close()
	}
	return client, err
}

func (s *http2Session) Close() error { return s.client.Close() }

// use sends one request and wants a 200 on a connection that takes another one.
func (s *http2Session) use() error {
	ctx, cancel := context.WithTimeout(context.Background(), useLimit)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://changes.test/load", nil)
	if err != nil {
		return err
	}
	response, err := s.client.RoundTrip(request)
	if err != nil {
		// Once it has heard of the end the client sends nothing more.
		if err.Error() == notSent {
			return errAnnounced
		}
		return err
	}
	defer func() { _ = response.Body.Close() }()
	if _, err := io.Copy(io.Discard, response.Body); err != nil {
		return err
	}
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("%s", response.Status)
	}
	if !s.client.CanTakeNewRequest() {
		return errAnnounced
	}
	return nil
}

// call is one gRPC call in both directions that never ends.
type call struct {
	client   *http2.ClientConn
	requests *io.PipeWriter
	response *http.Response
	cancel   context.CancelFunc
}

func callOver(dial func() (net.Conn, error)) func() (session, error) {
	return func() (session, error) {
		client, err := dialHTTP2(dial)
		if err != nil {
			return nil, err
		}
		ctx, cancel := context.WithCancel(context.Background())
		reader, writer := io.Pipe()
		s := &call{client: client, requests: writer, cancel: cancel}
		request, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://changes.test/test.Echo/Stream", reader)
		if err == nil {
			request.Header.Set("content-type", "application/grpc")
			request.Header.Set("te", "trailers")
			request.Header.Set("x-echo-grpc", "stream")
			s.response, err = client.RoundTrip(request)
		}
		if err == nil && s.response.Header.Get("grpc-status") != "" {
			err = fmt.Errorf("gRPC status %s", s.response.Header.Get("grpc-status"))
		}
		if err != nil {
			_ = s.Close()
			return nil, err
		}
		return s, nil
	}
}

func (s *call) Close() error {
	s.cancel()
	_ = s.requests.Close()
	return s.client.Close()
}

// use sends one message and wants it back.
func (s *call) use() error {
	// What comes too late ends the call.
	timer := time.AfterFunc(useLimit, s.cancel)
	defer timer.Stop()
	message := echo.Message("hello")
	if _, err := s.requests.Write(message); err != nil {
		return err
	}
	answer := make([]byte, len(message))
	if _, err := io.ReadFull(s.response.Body, answer); err != nil {
		return err
	}
	if string(answer) != string(message) {
		return fmt.Errorf("the answer is %q", answer)
	}
	return nil
}

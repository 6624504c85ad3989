package changes

import (
	"bufio"
	"embed"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"selvedge.dev/conformance/cluster"
)

//go:embed initial.yaml steps/*.yaml
var files embed.FS

const initialFile = "initial.yaml"

// Restartable is the role of the gateway of initial.yaml, which can be restarted.
const Restartable = "restartable"

// step is one change: a file of steps/, and how to see that it has arrived.
type step struct {
	file    string
	arrived func(gateway string) error
	// ends are the kinds of traffic whose connections the change must end, leaves those that must end after
	// the gateway has announced it.
	ends, leaves []string
	// drains: what must end may live on for a while.
	drains bool
}

// steps are in order.
var steps = []step{
	{file: "route", arrived: func(gateway string) error { return answers(gateway, 80, "changes.test", "x-generation", "1") }},
	{file: "host", arrived: func(gateway string) error { return answersBody(gateway, 80, "more.changes.test", "more") }},
	// No answer shows how a cluster balances: the marker is the next step.
	{file: "cluster"},
	{file: "endpoints", arrived: func(gateway string) error { return answersBody(gateway, 80, "changes.test", "v3\n") }},
	{file: "secret", arrived: func(gateway string) error { return shows(gateway, "changes.test", "renewed.changes.test") }},
	{file: "listener", arrived: func(gateway string) error { return answersBody(gateway, 8140, "port.changes.test", "port") }},
	{file: "chain", arrived: func(gateway string) error { return shows(gateway, "chain.changes.test", "chain.changes.test") }},
	{file: "extension", arrived: func(gateway string) error { return answers(gateway, 80, "changes.test", "server", "with-extension") }},
	{file: "access-log"},
}

// handOver replaces the gateway's process.
var handOver = step{
	file:   "restart",
	ends:   []string{"tcp", "websocket", "wss", "grpc", "grpcs"},
	leaves: []string{"http", "https", "h2c", "h2"},
	drains: true,
}

// stricter wants certificates of clients.
var stricter = step{file: "stricter", arrived: refusesStrangers, ends: []string{"https", "wss", "h2", "grpcs"}}

// allows says whether a connection may end so.
func (s step) allows(kind string, end error) bool {
	if s.file == stricter.file && kind == "new-tls" {
		return true
	}
	return slices.Contains(s.ends, kind) || slices.Contains(s.leaves, kind) && errors.Is(end, errAnnounced)
}

// mustEnd says whether connections of a kind end.
func (s step) mustEnd(kind string) bool {
	return slices.Contains(s.ends, kind) || slices.Contains(s.leaves, kind)
}

// undo returns the objects of a step as they were before, and those that were not there.
func (s step) undo() (before, added []byte, err error) {
	initial, err := objects(initialFile)
	if err != nil {
		return nil, nil, err
	}
	changed, err := objects("steps/" + s.file + ".yaml")
	if err != nil {
		return nil, nil, err
	}
	for _, object := range changed {
		text := &added
		known := slices.IndexFunc(initial, func(other *unstructured.Unstructured) bool {
			return other.GetKind() == object.GetKind() && other.GetName() == object.GetName()
		})
		if known >= 0 {
			object, text = initial[known], &before
		}
		document, err := yaml.Marshal(object.Object)
		if err != nil {
			return nil, nil, err
		}
		*text = append(append(*text, "---\n"...), document...)
	}
	return before, added, nil
}

func objects(file string) ([]*unstructured.Unstructured, error) {
	data, err := files.ReadFile(file)
	if err != nil {
		return nil, err
	}
	return cluster.ParseObjects(data)
}

func get(gateway string, port int, host string) (*http.Response, string, error) {
	connection, err := plain(gateway, port)()
	if err != nil {
		return nil, "", err
	}
	defer func() { _ = connection.Close() }()
	if _, err := fmt.Fprintf(connection, "GET /probe HTTP/1.1\r\nhost: %s\r\nconnection: close\r\n\r\n", host); err != nil {
		return nil, "", err
	}
	response, err := http.ReadResponse(bufio.NewReader(connection), nil)
	if err != nil {
		return nil, "", err
	}
	body, err := io.ReadAll(response.Body)
	return response, string(body), err
}

func answers(gateway string, port int, host, header, value string) error {
	response, _, err := get(gateway, port, host)
	if err == nil && response.Header.Get(header) != value {
		err = fmt.Errorf("%s is %q", header, response.Header.Get(header))
	}
	return err
}

func answersBody(gateway string, port int, host, want string) error {
	response, body, err := get(gateway, port, host)
	if err == nil && body != want {
		err = fmt.Errorf("%s with %q", response.Status, body)
	}
	return err
}

// shows wants a certificate with that common name.
func shows(gateway, server, name string) error {
	connection, err := handshake(gateway, 8443, server, "http/1.1")
	if err != nil {
		return err
	}
	defer func() { _ = connection.Close() }()
	if shown := connection.ConnectionState().PeerCertificates[0].Subject.CommonName; shown != name {
		return fmt.Errorf("the certificate is that of %s", shown)
	}
	return nil
}

// refusesStrangers wants a new connection without a client certificate to be refused.
func refusesStrangers(gateway string) error {
	connection, err := handshake(gateway, 8443, "changes.test", "http/1.1")
	if err != nil {
		return nil
	}
	defer func() { _ = connection.Close() }()
	err = request(connection, bufio.NewReader(connection))
	var alert *net.OpError
	if err == nil {
		return errors.New("a client without a certificate is served")
	}
	if errors.As(err, &alert) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return nil
	}
	return err
}

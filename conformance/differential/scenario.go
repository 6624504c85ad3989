// Package differential sends the same requests to two gateways that the same istiod configures, a
// real Envoy and the gateway under test, and lists where their answers differ.
package differential

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"selvedge.dev/conformance/cluster"
)

// Scenario is one folder: a piece of configuration and the requests that show what it does.
type Scenario struct {
	// Name is the folder's name; the scenario owns the hosts <name>.test and *.<name>.test.
	Name string
	// Objects are those of config.yaml.
	Objects []*unstructured.Unstructured
	// Requests are those of requests.yaml, in the order in which they are sent.
	Requests []Request
}

// Request is one item of requests.yaml. Exactly one of Send, Raw, Bytes and TCP says what is sent;
// with TLS none is needed, if the handshake is all that matters.
type Request struct {
	// Name says in a few words what the request shows.
	Name string `json:"name"`

	// Send is the method and the target of an HTTP/1.1 request, such as "GET /a?b".
	Send string `json:"send,omitempty"`
	// Host is the Host header of Send; <scenario>.test by default.
	Host string `json:"host,omitempty"`
	// Headers are more header lines of Send.
	Headers []string `json:"headers,omitempty"`
	// Body is the body of Send, with a content-length.
	Body string `json:"body,omitempty"`
	// BodySize makes a body of that many letters instead.
	BodySize int `json:"bodySize,omitempty"`
	// Chunks is the body of Send in chunked encoding, one chunk each.
	Chunks []string `json:"chunks,omitempty"`

	// Raw is the whole request as text. Line feeds become CR LF, {id} becomes the request's identity.
	Raw string `json:"raw,omitempty"`
	// Bytes is like Raw, but line feeds stay what they are.
	Bytes string `json:"bytes,omitempty"`
	// TCP are lines; each is sent, and one line is read back. An empty one only reads.
	TCP []string `json:"tcp,omitempty"`
	// Then is sent piece by piece behind Raw or Bytes, each after a short pause.
	Then []string `json:"then,omitempty"`

	// Gateway is the pair of gateways (base/1-gateways.yaml); "edge" by default.
	Gateway string `json:"gateway,omitempty"`
	// Port is 80, or 443 with TLS, by default.
	Port int `json:"port,omitempty"`
	// TLS makes it a TLS connection.
	TLS *ClientTLS `json:"tls,omitempty"`
	// Preface is sent before anything else, TLS included: a PROXY protocol header in clear text.
	Preface string `json:"preface,omitempty"`
	// SameConnection goes on with the connection of the request before.
	SameConnection bool `json:"sameConnection,omitempty"`
	// AwaitClose waits for the gateway to close the connection, and reports whether it did.
	AwaitClose bool `json:"awaitClose,omitempty"`
	// AfterPause is the pause after the answer: what goes on in the background may finish.
	AfterPause Duration `json:"afterPause,omitempty"`

	// Expect is how the oracle's answer must begin (Outcome.Summary): it guards the scenario against
	// testing something else than it says.
	Expect string `json:"expect,omitempty"`
	// Repeat sends the request that often and counts the answers, each on a connection of its own.
	Repeat int `json:"repeat,omitempty"`
	// Shares are the percentages of the answers (by summary) that both gateways must show.
	Shares map[string]float64 `json:"shares,omitempty"`
	// Ignore are fields that are not compared here, with "*" at the end for a prefix.
	Ignore []string `json:"ignore,omitempty"`
}

// ClientTLS is how the client speaks TLS.
type ClientTLS struct {
	// SNI is <scenario>.test by default; "none" sends none.
	SNI string `json:"sni,omitempty"`
	// Client is the name of a client certificate (the package certificate).
	Client string `json:"client,omitempty"`
	// ALPN are the protocols offered; http/1.1 by default, [none] for none.
	ALPN []string `json:"alpn,omitempty"`
	// Min and Max are "1.2" or "1.3".
	Min string `json:"min,omitempty"`
	Max string `json:"max,omitempty"`
}

// Duration is a time in Go's notation, such as 200ms.
type Duration time.Duration

// UnmarshalJSON reads the notation.
func (d *Duration) UnmarshalJSON(data []byte) error {
	parsed, err := time.ParseDuration(strings.Trim(string(data), `"`))
	*d = Duration(parsed)
	return err
}

// LoadScenarios reads the folders of a directory that carry one of the names; all of them without names.
func LoadScenarios(directory string, names []string) ([]*Scenario, error) {
	if len(names) == 0 {
		entries, err := os.ReadDir(directory)
		if err != nil {
			return nil, err
		}
		for _, entry := range entries {
			if entry.IsDir() {
				names = append(names, entry.Name())
			}
		}
	}
	var scenarios []*Scenario
	for _, name := range names {
		scenario, err := loadScenario(filepath.Join(directory, name))
		if err != nil {
			return nil, fmt.Errorf("scenario %s: %w", name, err)
		}
		scenarios = append(scenarios, scenario)
	}
	return scenarios, checkNames(scenarios)
}

func loadScenario(folder string) (*Scenario, error) {
	scenario := &Scenario{Name: filepath.Base(folder)}
	config, err := os.ReadFile(filepath.Join(folder, "config.yaml"))
	if err != nil {
		return nil, err
	}
	if scenario.Objects, err = cluster.ParseObjects(config); err != nil {
		return nil, fmt.Errorf("config.yaml: %w", err)
	}
	for _, object := range scenario.Objects {
		if object.GetNamespace() == "" {
			object.SetNamespace(Namespace)
		}
	}
	text, err := os.ReadFile(filepath.Join(folder, "requests.yaml"))
	if err != nil {
		return nil, err
	}
	var file struct {
		Requests []Request `json:"requests"`
	}
	if err := yaml.UnmarshalStrict(text, &file); err != nil {
		return nil, fmt.Errorf("requests.yaml: %w", err)
	}
	scenario.Requests = file.Requests
	if len(file.Requests) == 0 {
		return nil, errors.New("requests.yaml: no requests")
	}
	for i := range scenario.Requests {
		request := &scenario.Requests[i]
		if err := request.check(); err != nil {
			return nil, fmt.Errorf("requests.yaml: request %d (%s): %w", i+1, request.Name, err)
		}
		request.fillIn(scenario.Name)
	}
	return scenario, nil
}

func (r *Request) check() error {
	forms := 0
	for _, used := range []bool{r.Send != "", r.Raw != "", r.Bytes != "", len(r.TCP) > 0} {
		if used {
			forms++
		}
	}
	switch {
	case r.Name == "":
		return errors.New("no name")
	case forms > 1 || forms == 0 && r.TLS == nil:
		return errors.New("want one of send, raw, bytes and tcp")
	case r.Repeat > 0 != (len(r.Shares) > 0):
		return errors.New("repeat and shares go together")
	case r.Expect == "" && r.Repeat == 0:
		return errors.New("no expect: nothing would notice a scenario that tests nothing")
	case r.Send == "" && (r.Body != "" || r.Chunks != nil || r.Headers != nil || r.Host != ""):
		return errors.New("host, headers and body belong to send")
	case r.Send != "" && !strings.Contains(r.Send, " "):
		return errors.New("send wants a method and a target")
	}
	return nil
}

// fillIn writes the defaults out.
func (r *Request) fillIn(scenario string) {
	host := scenario + ".test"
	if r.Host == "" {
		r.Host = host
	}
	if r.Gateway == "" {
		r.Gateway = "edge"
	}
	if r.TLS != nil {
		if r.TLS.SNI == "" {
			r.TLS.SNI = host
		}
		if len(r.TLS.ALPN) == 0 {
			r.TLS.ALPN = []string{"http/1.1"}
		}
	}
	if r.Port == 0 {
		r.Port = 80
		if r.TLS != nil {
			r.Port = 443
		}
	}
}

// checkNames refuses two scenarios that define the same object: all share one namespace.
func checkNames(scenarios []*Scenario) error {
	owners := map[string]string{}
	for _, scenario := range scenarios {
		for _, object := range scenario.Objects {
			key := object.GroupVersionKind().GroupKind().String() + " " + object.GetNamespace() + "/" + object.GetName()
			if owner, taken := owners[key]; taken {
				return fmt.Errorf("scenarios %s and %s both define %s", owner, scenario.Name, key)
			}
			owners[key] = scenario.Name
		}
	}
	return nil
}

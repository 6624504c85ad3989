package mesh

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"istio.io/istio/pkg/hbone"
	istiolog "istio.io/istio/pkg/log"

	"selvedge.dev/conformance/certificate"
)

const (
	// edgeIdentity is the gateway's that is an edge, webIdentity that of a client.
	edgeIdentity = "spiffe://cluster.local/ns/edge/sa/edge"
	webIdentity  = "spiffe://cluster.local/ns/shop/sa/web"
	// ratingsAtB is the server name by which istiod has clients call ratings.shop.global at edge b.
	ratingsAtB = "outbound_.80_.b_." + ratings
	// hbonePort is Istio's.
	hbonePort = 15008
	// patience bounds a conversation.
	patience = 5 * time.Second
)

// target is where clients of the mesh find ratings.shop.global at edge b, as istiod tells them.
type target struct {
	address string
	port    int
}

func (t target) at(port int) string { return net.JoinHostPort(t.address, strconv.Itoa(port)) }

func (s *Suite) target(ctx context.Context) (found target, err error) {
	entry, err := s.in("edge", entries).Get(ctx, ratings, metav1.GetOptions{})
	if err != nil {
		return found, err
	}
	ports, _, err := unstructured.NestedSlice(entry.Object, "spec", "ports")
	if err != nil {
		return found, err
	}
	endpoints, _, err := unstructured.NestedSlice(entry.Object, "spec", "endpoints")
	if err != nil {
		return found, err
	}
	for _, item := range endpoints {
		endpoint, _ := item.(map[string]any)
		if edge, _, _ := unstructured.NestedString(endpoint, "labels", "edge"); edge == s.b.name {
			found.address, _, _ = unstructured.NestedString(endpoint, "address")
		}
	}
	for _, item := range ports {
		port, _ := item.(map[string]any)
		number, _, _ := unstructured.NestedInt64(port, "targetPort")
		found.port = int(number)
	}
	if found.address == "" || found.port == 0 {
		err = fmt.Errorf("%v names no endpoint at edge b", entry.Object["spec"])
	}
	return found, err
}

// client is the TLS of a client of the mesh with this identity, signed by istiod's own key.
func (s *Suite) client(ctx context.Context, identity string) (*tls.Config, error) {
	authorities, err := certificate.Load(filepath.Join(s.Cluster.RunDir(), "authorities"))
	if err != nil {
		return nil, err
	}
	if err := authorities.AddIstio(ctx, s.clients.Kubernetes); err != nil {
		return nil, err
	}
	chain, key, err := authorities.Issue(certificate.Spec{Issuer: "istio", URIs: []string{identity}})
	if err != nil {
		return nil, err
	}
	pair, err := tls.X509KeyPair(chain, key)
	if err != nil {
		return nil, err
	}
	return certificate.Workload(pair, authorities.Pool("istio"), edgeIdentity), nil
}

// caller is what a client of the mesh needs to call ratings.shop.global at edge b: where that is, and an identity.
func (s *Suite) caller(ctx context.Context) (target, *tls.Config, error) {
	at, err := s.target(ctx)
	if err != nil {
		return at, nil, err
	}
	config, err := s.client(ctx, webIdentity)
	return at, config, err
}

// say sends a request over a connection, and returns who answers.
func say(connection net.Conn) (string, error) {
	defer func() { _ = connection.Close() }()
	transport := &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) { return connection, nil }}
	defer transport.CloseIdleConnections()
	response, err := (&http.Client{Timeout: patience, Transport: transport}).Get("http://" + ratings + "/")
	if err != nil {
		return "", err
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	return string(body), err
}

// isB wants edge b to have answered.
func isB(word string, err error) error {
	if err == nil && word != "b" {
		err = fmt.Errorf("%q answers", word)
	}
	return err
}

func (s *Suite) tunnel(ctx context.Context) (string, error) {
	istiolog.FindScope("hbone").SetOutputLevel(istiolog.NoneLevel)
	at, config, err := s.caller(ctx)
	if err != nil {
		return "", err
	}
	config.NextProtos = []string{"h2"}
	dialer := hbone.NewDialer(hbone.Config{ProxyAddress: at.at(hbonePort), TLS: config})
	const requests = 20
	for range requests {
		connection, err := dialer.Dial("tcp", at.at(at.port))
		if err != nil {
			return "", err
		}
		if err := isB(say(connection)); err != nil {
			return "", err
		}
	}
	if connection, err := dialer.Dial("tcp", at.at(22)); err == nil {
		_ = connection.Close()
		return "", errors.New("a tunnel to another port was opened")
	}
	return fmt.Sprintf("%d of %d", requests, requests), nil
}

// mutual calls a target by the mutual TLS of Istio, for a service that the server name says.
func mutual(at target, config *tls.Config, name string) func() (string, error) {
	return func() (string, error) {
		config := config.Clone()
		config.ServerName, config.NextProtos = name, []string{"istio"}
		connection, err := tls.DialWithDialer(&net.Dialer{Timeout: patience}, "tcp", at.at(at.port), config)
		if err != nil {
			return "", err
		}
		return say(connection)
	}
}

// strangers come with whatever is not the mutual TLS of the mesh, and are counted; a good client beside them is let in.
func (s *Suite) strangers(ctx context.Context) (string, error) {
	at, good, err := s.caller(ctx)
	if err != nil {
		return "", err
	}
	foreign, err := s.client(ctx, "spiffe://partner.example/ns/shop/sa/web")
	if err != nil {
		return "", err
	}
	nameless := good.Clone()
	nameless.Certificates = nil
	secured := func(config *tls.Config, name string) func() (string, error) { return mutual(at, config, name) }
	clear := func(port int) func() (string, error) {
		return func() (string, error) {
			connection, err := net.DialTimeout("tcp", at.at(port), patience)
			if err != nil {
				return "", err
			}
			return say(connection)
		}
	}
	for _, stranger := range []struct {
		kind, counter string
		call          func() (string, error)
	}{
		{"clear text", "clear_text", clear(at.port)},
		{"clear text for HBONE", "clear_text", clear(hbonePort)},
		{"the name of another service", "server_name", secured(good, "outbound_.80_._.vault.shop.global")},
		{"the name of another port", "server_name", secured(good, "outbound_.81_._."+ratings)},
		{"a name that is none of istiod's", "server_name", secured(good, ratings)},
		{"no certificate", "handshake", secured(nameless, ratingsAtB)},
		{"another trust domain", "handshake", secured(foreign, ratingsAtB)},
	} {
		counter := "overlay.entrance_" + stranger.counter
		before, err := s.number(counter)
		if err != nil {
			return "", err
		}
		if word, err := stranger.call(); err == nil {
			return "", fmt.Errorf("%s: %q answers", stranger.kind, word)
		}
		if _, err := await(arriveLimit, s.counts(counter, strconv.Itoa(before+1))); err != nil {
			return "", fmt.Errorf("%s: %w", stranger.kind, err)
		}
	}
	for _, name := range []string{ratingsAtB, "outbound_.80_._." + ratings} {
		if err := isB(secured(good, name)()); err != nil {
			return "", fmt.Errorf("%s: %w", name, err)
		}
	}
	return "7 of 7", nil
}

func (s *Suite) number(counter string) (int, error) {
	text, err := s.count(counter)
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(text)
}

// callers calls an edge that does not believe who calls.
func (s *Suite) callers(context.Context) (string, error) {
	forbidden := func() (int, error) {
		page, err := ask(fmt.Sprintf("127.0.0.1:%d", s.d.admin), "/stats?filter=overlay.incoming_forbidden", "")
		if err != nil {
			return 0, err
		}
		_, value, _ := strings.Cut(strings.TrimSpace(page), ": ")
		return strconv.Atoi(value)
	}
	for number, one := range s.gateways {
		_, err := await(arriveLimit, func() error {
			word, err := one.ask("/vault", "")
			if err == nil {
				return fmt.Errorf("%s: %q answers", one.name, word)
			}
			if !strings.HasPrefix(err.Error(), "503") {
				return fmt.Errorf("%s: %w", one.name, err)
			}
			count, err := forbidden()
			if err == nil && count <= number {
				err = fmt.Errorf("%s: edge d has refused %d calls", one.name, count)
			}
			return err
		})
		if err != nil {
			return "", err
		}
	}
	log, err := os.ReadFile(s.overlay.log(s.d.name))
	if err != nil {
		return "", err
	}
	for line := range strings.Lines(string(log)) {
		if strings.Contains(line, `edge="a"`) && strings.Contains(line, "trust domain cluster.local") {
			count, err := forbidden()
			return fmt.Sprintf("%d calls refused", count), err
		}
	}
	return "", errors.New("the log of edge d does not say who was refused, and why")
}

package differential

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"strings"
	"time"

	"selvedge.dev/conformance/cluster"
)

const (
	// Namespace holds the gateways, the backends and all scenarios.
	Namespace = "edge"
	// podLimit bounds the start of the gateways.
	podLimit = 60 * time.Second
	// configLimit bounds the way of the configuration to both gateways. A missing secret alone makes
	// Envoy wait for 15 seconds before it opens a listener.
	configLimit = 45 * time.Second
)

// pair is one pair of gateways with the same settings.
type pair struct{ oracle, subject cluster.Pod }

// findPairs waits until every pair of gateways is ready. The pairs carry the label istio=<name>.
func findPairs(ctx context.Context, c *cluster.Cluster, clients *cluster.Clients, names []string) (map[string]pair, error) {
	pairs := map[string]pair{}
	for _, name := range names {
		var found pair
		for role, pod := range map[string]*cluster.Pod{"oracle": &found.oracle, "subject": &found.subject} {
			pods, err := c.AwaitReady(ctx, clients, Namespace, "istio="+name+",role="+role, 1, podLimit)
			if err != nil {
				return nil, err
			}
			*pod = pods[0]
		}
		pairs[name] = found
	}
	return pairs, nil
}

// prefaces are what the gateways of a pair want to hear before anything else.
var prefaces = map[string]string{"proxied": "PROXY UNKNOWN\r\n"}

// awaitMarker waits until the gateway answers the marker host with the token of this run.
func awaitMarker(pod cluster.Pod, preface, token string, deadline time.Time) error {
	for {
		body, err := askMarker(pod, preface)
		if err == nil && body == token {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("%s never served the last configuration; it answers %.80q, %w", pod.Name, body, err)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

func askMarker(pod cluster.Pod, preface string) (string, error) {
	connection, err := net.DialTimeout("tcp", fmt.Sprintf("%s:%d", pod.Address, markerPort), time.Second)
	if err != nil {
		return "", err
	}
	defer func() { _ = connection.Close() }()
	if err := connection.SetDeadline(time.Now().Add(time.Second)); err != nil {
		return "", err
	}
	if _, err := fmt.Fprintf(connection, "%sGET / HTTP/1.1\r\nhost: %s\r\n\r\n", preface, markerHost); err != nil {
		return "", err
	}
	response, err := readResponse(bufio.NewReader(connection), http.MethodGet)
	if err != nil {
		return "", err
	}
	return response.Body, nil
}

// awaitPort waits until the gateway accepts connections there.
func awaitPort(pod cluster.Pod, port int, deadline time.Time) error {
	for {
		connection, err := net.DialTimeout("tcp", fmt.Sprintf("%s:%d", pod.Address, port), time.Second)
		if err == nil {
			return connection.Close()
		}
		if time.Now().After(deadline) {
			return err
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// syncStatus is what istiod says of one proxy at /debug/syncz.
type syncStatus struct {
	Proxy     string `json:"proxy"`
	Resources map[string]struct {
		Sent  string `json:"sent"`
		Acked string `json:"acked"`
	} `json:"resources"`
}

// awaitSynced waits until istiod has no answer outstanding from the gateway ("istioctl proxy-status"
// says SYNCED), and returns the types that are not when time is up.
func awaitSynced(pod cluster.Pod, deadline time.Time) error {
	for {
		waiting, err := unsynced(pod)
		if err == nil && len(waiting) == 0 {
			return nil
		}
		if time.Now().After(deadline) {
			if err == nil {
				err = errors.New("(no answer, or a refusal)")
			}
			return fmt.Errorf("not synced: %s %w", strings.Join(waiting, ", "), err)
		}
		time.Sleep(100 * time.Millisecond)
	}
}

func unsynced(pod cluster.Pod) ([]string, error) {
	response, err := http.Get(fmt.Sprintf("http://127.0.0.1:%d/debug/syncz", cluster.IstiodHTTP))
	if err != nil {
		return nil, err
	}
	defer func() { _ = response.Body.Close() }()
	var proxies []syncStatus
	if err := json.NewDecoder(response.Body).Decode(&proxies); err != nil {
		return nil, err
	}
	for _, proxy := range proxies {
		if proxy.Proxy != pod.Name+"."+pod.Namespace {
			continue
		}
		var waiting []string
		for _, kind := range sortedKeys(proxy.Resources) {
			if resource := proxy.Resources[kind]; resource.Sent != resource.Acked {
				waiting = append(waiting, kind)
			}
		}
		return waiting, nil
	}
	return nil, fmt.Errorf("istiod does not know %s", pod.Name)
}

// refusals are the lines of istiod's log about configuration that the gateway refused (NACK).
func refusals(c *cluster.Cluster, pod cluster.Pod) ([]string, error) {
	data, err := os.ReadFile(c.LogFile("istiod"))
	if err != nil {
		return nil, err
	}
	var lines []string
	for line := range strings.Lines(string(data)) {
		if strings.Contains(line, "ERROR") && strings.Contains(line, pod.Name) {
			lines = append(lines, strings.TrimSpace(line))
		}
	}
	return lines, nil
}

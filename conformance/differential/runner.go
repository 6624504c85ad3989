package differential

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"time"

	"selvedge.dev/conformance/certificate"
	"selvedge.dev/conformance/cluster"
)

const (
	// parallel is how many scenarios run at once: most of their time is waiting.
	parallel = 8
	// logFlush is how long gateways may hold back access log lines: Envoy writes once a second.
	logFlush = 2500 * time.Millisecond
	// syncLimit bounds the wait for a gateway's answers to istiod once it serves the newest configuration.
	syncLimit = 5 * time.Second
	// subjectLimit is how long the subject may serve its configuration later than the oracle, and how
	// long after that a port may take to open.
	subjectLimit = 10 * time.Second
)

// Runner runs scenarios on a cluster that is up with the profile "differential".
type Runner struct {
	// Cluster is where the gateways run; the runner must be inside its node's namespace.
	Cluster *cluster.Cluster
	// Subject is "selvedge", or "envoy" to compare Envoy with itself.
	Subject string
	// Progress is told what goes on, one line each.
	Progress func(format string, arguments ...any)

	clients     *cluster.Clients
	authorities certificate.Authorities
	identities  certificate.Identities
	pairs       map[string]pair
	collector   *collector
	stopStands  func()
	notSynced   []string
	logged      map[string]int // bytes, by gateway
	token       string
	mu          sync.Mutex
	identity    int
}

// Exchange is one request with the outcomes of both gateways.
type Exchange struct {
	Scenario        *Scenario
	Request         *Request
	Oracle, Subject *Outcome
	// OracleShares and SubjectShares count the answers of a repeated request.
	OracleShares, SubjectShares map[string]int
}

// Run sets everything up, sends all requests, and returns what both gateways made of them.
func (r *Runner) Run(ctx context.Context, scenarios []*Scenario) ([]*Exchange, error) {
	if err := r.setUp(ctx, scenarios); err != nil {
		return nil, err
	}
	defer r.collector.close()
	defer r.stopStands()
	started := time.Now()
	exchanges, err := r.sendAll(ctx, scenarios)
	if err != nil {
		return nil, err
	}
	r.Progress("sent %d requests to each gateway in %.1f s", len(exchanges), time.Since(started).Seconds())
	time.Sleep(logFlush)
	return exchanges, r.collect(exchanges)
}

// Addresses of the gateways that an exchange went to.
func (r *Runner) addresses(exchange *Exchange) addresses {
	p := r.pairs[exchange.Request.Gateway]
	return addresses{oracle: p.oracle.Address, subject: p.subject.Address}
}

func (r *Runner) folder() string { return filepath.Join(r.Cluster.Root, "differential") }

// Configure installs the gateways, the backends and the configuration of the scenarios, and waits for
// nothing: to look at a gateway by hand.
func (r *Runner) Configure(ctx context.Context, scenarios []*Scenario) error {
	if err := r.prepare(ctx); err != nil {
		return err
	}
	if err := r.installBase(ctx); err != nil {
		return err
	}
	return r.installScenarios(ctx, scenarios)
}

// prepare connects to the cluster and makes the certificates.
func (r *Runner) prepare(ctx context.Context) error {
	r.token = strconv.FormatInt(time.Now().UnixNano(), 36)
	var err error
	if r.clients, err = r.Cluster.Clients(); err != nil {
		return err
	}
	if r.authorities, err = certificate.Load(filepath.Join(r.Cluster.RunDir(), "authorities")); err != nil {
		return err
	}
	if err = r.authorities.AddIstio(ctx, r.clients.Kubernetes); err != nil {
		return err
	}
	r.identities, err = r.authorities.Identities()
	return err
}

func (r *Runner) setUp(ctx context.Context, scenarios []*Scenario) error {
	started := time.Now()
	err := r.prepare(ctx)
	if err != nil {
		return err
	}
	if r.collector, err = startCollector(); err != nil {
		return err
	}
	if r.stopStands, err = startStands(); err != nil {
		return err
	}
	if err := r.installBase(ctx); err != nil {
		return err
	}
	if r.pairs, err = findPairs(ctx, r.Cluster, r.clients, gatewayNames(scenarios)); err != nil {
		return err
	}
	if _, err := r.Cluster.AwaitReady(ctx, r.clients, Namespace, "part=backend", backendCount, podLimit); err != nil {
		return err
	}
	r.Progress("gateways and backends are ready after %.1f s", time.Since(started).Seconds())
	if err := r.installScenarios(ctx, scenarios); err != nil {
		return err
	}
	if err := r.awaitConfiguration(scenarios); err != nil {
		return err
	}
	r.Progress("both gateways have the configuration of %d scenarios after %.1f s", len(scenarios), time.Since(started).Seconds())
	return r.skipOldLogs()
}

// backendCount is the number of pods in base/4-backends.yaml.
const backendCount = 5

func gatewayNames(scenarios []*Scenario) []string {
	names := []string{"edge"}
	for _, scenario := range scenarios {
		for _, request := range scenario.Requests {
			if !slices.Contains(names, request.Gateway) {
				names = append(names, request.Gateway)
			}
		}
	}
	return names
}

// awaitConfiguration waits until both gateways of each pair serve the marker and have answered
// istiod, and until the ports of all scenarios are open.
func (r *Runner) awaitConfiguration(scenarios []*Scenario) error {
	deadline := time.Now().Add(configLimit)
	for _, name := range sortedKeys(r.pairs) {
		if err := awaitMarker(r.pairs[name].oracle, prefaces[name], r.token, deadline); err != nil {
			return err
		}
		// A subject without the configuration differs, and the scenarios show where.
		if err := awaitMarker(r.pairs[name].subject, prefaces[name], r.token, time.Now().Add(subjectLimit)); err != nil {
			r.notSynced = append(r.notSynced, err.Error())
		}
		if err := r.noteStatus(r.pairs[name].subject); err != nil {
			return err
		}
	}
	return r.awaitPorts(scenarios, deadline)
}

// awaitPorts waits until every port that a request uses is open on both gateways. One that never opens
// on the subject is left to the scenario.
func (r *Runner) awaitPorts(scenarios []*Scenario, deadline time.Time) error {
	seen := map[string]bool{}
	for _, scenario := range scenarios {
		for _, request := range scenario.Requests {
			key := fmt.Sprintf("%s:%d", request.Gateway, request.Port)
			if seen[key] || request.Expect == resultRefused {
				continue
			}
			seen[key] = true
			if err := awaitPort(r.pairs[request.Gateway].oracle, request.Port, deadline); err != nil {
				return fmt.Errorf("scenario %s: the oracle does not open port %d: %w", scenario.Name, request.Port, err)
			}
			if err := awaitPort(r.pairs[request.Gateway].subject, request.Port, time.Now().Add(subjectLimit)); err != nil {
				r.Progress("scenario %s: the subject does not open port %d", scenario.Name, request.Port)
			}
		}
	}
	return nil
}

// noteStatus remembers what "istioctl proxy-status" would not call SYNCED, and what was refused.
func (r *Runner) noteStatus(pod cluster.Pod) error {
	if err := awaitSynced(pod, time.Now().Add(syncLimit)); err != nil {
		r.notSynced = append(r.notSynced, pod.Name+": "+err.Error())
	}
	lines, err := refusals(r.Cluster, pod)
	r.notSynced = append(r.notSynced, lines...)
	return err
}

// markerPort is that of the Gateways named marker-* in base/3-shared.yaml.
const markerPort = 8099

// sendAll runs the scenarios side by side; within one, requests come one after the other.
func (r *Runner) sendAll(ctx context.Context, scenarios []*Scenario) ([]*Exchange, error) {
	results := make([][]*Exchange, len(scenarios))
	slots := make(chan struct{}, parallel)
	var group sync.WaitGroup
	for i, scenario := range scenarios {
		group.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			results[i] = r.sendScenario(ctx, scenario)
		})
	}
	group.Wait()
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	return slices.Concat(results...), nil
}

// collect adds to every outcome what backends saw and what the gateway logged.
func (r *Runner) collect(exchanges []*Exchange) error {
	logs := map[string]map[string][]map[string]any{}
	for _, pod := range r.gateways() {
		output, err := r.Cluster.PodLog(pod.Namespace, pod.Name)
		if err != nil {
			return err
		}
		logs[pod.Name] = parseLog(output[r.logged[pod.Name]:])
	}
	for _, exchange := range exchanges {
		if exchange.Request.Repeat > 0 {
			continue
		}
		p := r.pairs[exchange.Request.Gateway]
		exchange.Oracle.Seen, exchange.Subject.Seen = r.collector.of(exchange.Oracle.id), r.collector.of(exchange.Subject.id)
		exchange.Oracle.takeLog(logs[p.oracle.Name])
		exchange.Subject.takeLog(logs[p.subject.Name])
	}
	return nil
}

// gateways are those of all pairs.
func (r *Runner) gateways() []cluster.Pod {
	var pods []cluster.Pod
	for _, name := range sortedKeys(r.pairs) {
		pods = append(pods, r.pairs[name].oracle, r.pairs[name].subject)
	}
	return pods
}

// skipOldLogs remembers how much the gateways had logged before the first request.
func (r *Runner) skipOldLogs() error {
	r.logged = map[string]int{}
	for _, pod := range r.gateways() {
		output, err := r.Cluster.PodLog(pod.Namespace, pod.Name)
		if err != nil {
			return err
		}
		r.logged[pod.Name] = len(output)
	}
	return nil
}

// nextIdentity names a request. All have the same length, so that sizes do not depend on it.
func (r *Runner) nextIdentity() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.identity++
	return fmt.Sprintf("%s-%06d", r.token, r.identity)
}

package differential

import (
	"context"
	"strconv"
	"strings"
	"sync"
	"time"

	"selvedge.dev/conformance/cluster"
)

// sendScenario sends the requests of one scenario, each to both gateways at the same time.
func (r *Runner) sendScenario(ctx context.Context, scenario *Scenario) []*Exchange {
	var exchanges []*Exchange
	clients := map[string]*client{}
	at := func(pod cluster.Pod) *client {
		if clients[pod.Name] == nil {
			clients[pod.Name] = &client{runner: r, address: pod.Address}
		}
		return clients[pod.Name]
	}
	for i := range scenario.Requests {
		request := &scenario.Requests[i]
		exchange := &Exchange{Scenario: scenario, Request: request}
		p := r.pairs[request.Gateway]
		oracle, subject := at(p.oracle), at(p.subject)
		var group sync.WaitGroup
		if request.Repeat > 0 {
			group.Go(func() { exchange.OracleShares = oracle.repeat(ctx, request) })
			group.Go(func() { exchange.SubjectShares = subject.repeat(ctx, request) })
		} else {
			group.Go(func() { exchange.Oracle = oracle.send(ctx, request) })
			group.Go(func() { exchange.Subject = subject.send(ctx, request) })
		}
		group.Wait()
		exchanges = append(exchanges, exchange)
	}
	for _, c := range clients {
		c.finish()
	}
	return exchanges
}

// client sends the requests of one scenario to one gateway, and keeps the connection between them.
type client struct {
	runner     *Runner
	address    string
	connection *connection
	previous   *Outcome
}

// send sends one request on a new connection, or on the one before.
func (c *client) send(ctx context.Context, request *Request) *Outcome {
	outcome := &Outcome{id: c.runner.nextIdentity()}
	if err := c.connect(ctx, request, outcome); err != nil {
		outcome.Result = failure(err)
		return outcome
	}
	outcome.order = c.connection.requests
	c.connection.requests++
	c.previous = outcome
	if err := c.connection.exchange(request, outcome); err != nil {
		outcome.Result = failure(err)
	}
	if request.AwaitClose {
		outcome.Close = c.connection.awaitClose(outcome)
	}
	time.Sleep(time.Duration(request.AfterPause))
	return outcome
}

func (c *client) connect(ctx context.Context, request *Request, outcome *Outcome) error {
	if request.SameConnection && c.connection != nil && c.connection.reader != nil {
		outcome.connection, outcome.TLS = c.previous.connection, c.previous.TLS
		return nil
	}
	c.finish()
	connection, err := dial(ctx, c.address, request, c.runner.identities)
	if connection != nil {
		outcome.connection = logKey(connection, request)
		outcome.last = true
	}
	if err != nil {
		if connection != nil {
			_ = connection.Close()
		}
		return err
	}
	c.connection, outcome.TLS = connection, connection.handshake
	return nil
}

// finish closes the connection.
func (c *client) finish() {
	if c.connection != nil {
		_ = c.connection.Close()
		c.previous.last = true
	}
	c.connection, c.previous = nil, nil
}

// logKey is how the gateway's log names the connection: a PROXY header says otherwise than the socket.
func logKey(connection *connection, request *Request) string {
	if words := strings.Fields(request.Preface); len(words) == 6 && words[0] == "PROXY" {
		return connectionKey(words[2]+":"+words[4], words[5])
	}
	return connectionKey(connection.LocalAddr().String(), strconv.Itoa(request.Port))
}

// repeat counts the summaries of many answers.
func (c *client) repeat(ctx context.Context, request *Request) map[string]int {
	shares := map[string]int{}
	one := *request
	one.AfterPause = 0
	for range request.Repeat {
		shares[c.send(ctx, &one).Summary()]++
	}
	time.Sleep(time.Duration(request.AfterPause))
	return shares
}

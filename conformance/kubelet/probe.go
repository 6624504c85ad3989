package kubelet

import (
	"context"
	"fmt"
	"net/http"
	"time"
)

const (
	// probeInterval is how often a pod that is not ready is asked; far below Kubernetes' seconds, to save the tests' time.
	probeInterval = 100 * time.Millisecond
	// readyProbeInterval is how often a ready pod is asked.
	readyProbeInterval = 2 * time.Second
)

// probe reports the pod's readiness until ctx ends. A pod without a readiness probe is ready at once.
func (p *pod) probe(ctx context.Context, restarts int) {
	readiness := p.container().ReadinessProbe
	if readiness == nil || readiness.HTTPGet == nil {
		p.writeStatus(ctx, status{ready: true, restarts: restarts})
		return
	}
	p.writeStatus(ctx, status{restarts: restarts})
	url := fmt.Sprintf("http://%s:%s%s", p.network.address, readiness.HTTPGet.Port.String(), readiness.HTTPGet.Path)
	client := &http.Client{Timeout: time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	ready := false
	for ctx.Err() == nil {
		if answer := succeeds(client, url); answer != ready && ctx.Err() == nil {
			ready = answer
			p.writeStatus(ctx, status{ready: ready, restarts: restarts})
		}
		if ready {
			sleep(ctx, readyProbeInterval)
		} else {
			sleep(ctx, probeInterval)
		}
	}
}

func succeeds(client *http.Client, url string) bool {
	response, err := client.Get(url)
	if err != nil {
		return false
	}
	_ = response.Body.Close()
	return response.StatusCode < http.StatusBadRequest
}

package scale

import (
	"testing"

	"selvedge.dev/conformance/bench/peer"
)

func TestEveryServiceHasItsOwn(t *testing.T) {
	r, err := build(&peer.Setup{Bench: ".."}, 10)
	if err != nil {
		t.Fatal(err)
	}
	hosts := r.routes.VirtualHosts
	if len(r.clusters) != 10 || len(r.endpoints) != 10 || len(hosts) != 10 {
		t.Fatalf("%d clusters, %d endpoints, %d virtual hosts", len(r.clusters), len(r.endpoints), len(hosts))
	}
	seen := map[string]bool{}
	for i, c := range r.clusters {
		if seen[c.Name] || c.EdsClusterConfig.ServiceName != r.endpoints[i].ClusterName || hosts[i].Routes[0].GetRoute().GetCluster() != c.Name {
			t.Errorf("service %d: cluster %s", i, c.Name)
		}
		seen[c.Name] = true
	}
	r.add()
	if added := r.routes.VirtualHosts[10]; r.clusters[10].Name != r.endpoints[10].ClusterName || seen[r.clusters[10].Name] || added.Domains[0] != hostName(10) {
		t.Errorf("added: %s, %v", r.clusters[10].Name, added.Domains)
	}
	r.mark(7)
	for i, host := range r.routes.VirtualHosts {
		headers := host.Routes[0].ResponseHeadersToAdd
		if i != changed(10) && len(headers) > 0 {
			t.Errorf("service %d is marked", i)
		}
		if i == changed(10) && (len(headers) != 1 || headers[0].Header.Value != "7") {
			t.Errorf("the changed service has %v", headers)
		}
	}
}

package edges

import (
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/stretchr/testify/require"

	"selvedge.dev/conformance/network"
)

// Whoever joins.
var tenantChecks = []check{
	{"tenants do not meet", tenants},
	{"a hundred edges join at once", joins},
}

// tenants have an edge each at two sites, in the same networks, with services of the same name.
func tenants(t *trial) {
	const calls = 10_000
	topology := network.ThreeEdges()
	topology.Hosts = topology.Hosts[:1]
	topology.Sites = topology.Sites[:2]
	for i := range topology.Sites {
		topology.Sites[i].Hosts = append(topology.Sites[i].Hosts, network.LANHost{Name: "other"}, network.LANHost{Name: "other-backend"})
	}
	o := t.build(topology)
	edges := map[string][]*edge{}
	for _, tenant := range []struct{ name, place, neighbour string }{{"acme", "", "/backend"}, {"globex", "/other", "/other-backend"}} {
		for _, site := range topology.Sites {
			e := o.add(tenant.name+"-"+site.Name, tenant.name, site.Name+tenant.place, site.Name+tenant.neighbour, offersAndTakes)
			e.serve(firstBackend, e.name)
			service := ratings(firstBackend)
			service.address = e.neighbour.Address.String()
			e.write("services.yaml", service.yaml())
			edges[tenant.name] = append(edges[tenant.name], e)
		}
		for _, e := range edges[tenant.name] {
			e.write("routes.yaml", anyEdgeYAML)
			e.start()
		}
	}
	crossed, made := 0, 0
	for _, own := range edges {
		for i, e := range own {
			far := own[1-i]
			c := e.client(8)
			c.await(at(far, 0), far.name)
			result := c.repeat(calls/4, 8, func(i int) string { return at(far, i) })
			require.Zero(t, result.failed, result)
			made += result.calls
			crossed += result.calls - result.names[far.name]
			for _, known := range o.status(e.state()).Edges {
				isOwn := slices.ContainsFunc(own, func(one *edge) bool { return one.name == known.Name })
				require.True(t, isOwn, "%s knows %s", e.name, known.Name)
			}
		}
	}
	t.Figure("%d of %d calls of two tenants came to the other", crossed, made)
	require.Zero(t, crossed)
}

func joins(t *trial) {
	const count = 100
	o := t.build(network.ThreeEdges())
	place, err := o.lab.Place("a")
	require.NoError(t, err)
	tokens := make([]string, count)
	for i := range tokens {
		tokens[i] = o.token("--tenant", tenant, "--edge", fmt.Sprint("e", i))
	}
	directory := func(i int) string { return filepath.Join(t.Directory, fmt.Sprint("e", i)) }
	failures := make([]error, count)
	begun := time.Now()
	var group sync.WaitGroup
	for i := range count {
		group.Go(func() { failures[i] = o.tryToJoin(place, tokens[i], directory(i)) })
	}
	group.Wait()
	took := time.Since(begun).Round(time.Millisecond)
	identities, lost := map[string]bool{}, 0
	for i := range count {
		if failures[i] != nil {
			lost++
			t.Errorf("%v", failures[i])
			continue
		}
		identity, err := identityIn(filepath.Join(directory(i), "certificate.pem"))
		require.NoError(t, err)
		require.Equal(t, fmt.Sprintf("spiffe://mesh.example/%s/edge/e%d", tenant, i), identity)
		identities[identity] = true
	}
	t.Figure("%d at once: %d identities, %d lost, all within %s", count, len(identities), lost, took)
	require.Len(t, identities, count)
}

// identityIn is the URI of the first certificate of a file.
func identityIn(file string) (string, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return "", err
	}
	block, _ := pem.Decode(text)
	if block == nil {
		return "", fmt.Errorf("%s has no certificate", file)
	}
	return identityOf(block.Bytes)
}

// identityOf is the URI of a certificate.
func identityOf(der []byte) (string, error) {
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		return "", err
	}
	if len(certificate.URIs) != 1 {
		return "", fmt.Errorf("a certificate with %d names", len(certificate.URIs))
	}
	return certificate.URIs[0].String(), nil
}

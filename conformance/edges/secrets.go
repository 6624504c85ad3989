package edges

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/stretchr/testify/require"

	"selvedge.dev/conformance/network/sniff"
)

// What others may see and do.
var secretChecks = []check{
	{"nothing of a site can be reached", ports},
	{"a hub sees nothing of calls", secrets},
	{"a token is good once", token},
	{"a forged or replayed record is rejected", forgeries},
	{"a revoked edge is cut", revocation},
}

func ports(t *trial) {
	o, edges := t.threeEdges()
	asked, reachable := 0, 0
	for _, e := range edges {
		for i := range choose(t, 1, 2) {
			link, err := o.lab.Link(fmt.Sprintf("%s/wan%d", e.name, i))
			require.NoError(t, err)
			exposure, err := o.lab.Scan(link)
			require.NoError(t, err)
			asked += exposure.Asked
			reachable += len(exposure.Answered) + len(exposure.Entered)
			require.False(t, exposure.Reachable(), "%s: %s", link.Name, exposure)
			require.NotEmpty(t, exposure.Listening, "the gateway is there")
		}
	}
	t.Figure("%d of %d ports of %d edges can be reached", reachable, asked, len(edges))
}

// Markers in what is said through a hub.
const (
	requestMarker  = "marker-of-a-request"
	identityMarker = "spiffe://mesh.example/ns/shop/sa/marker-of-a-caller"
)

// secrets are looked for in all packets of a hub and in its memory: it has what is within the links.
func secrets(t *trial) {
	o, edges := t.threeEdges()
	near, far := edges[0], edges[1]
	c := near.client(4)

	markers := []string{requestMarker, answerMarker, identityMarker, "ratings", near.name + ".shop"}
	var inHubs []*sniff.Search
	for _, hub := range o.hubs {
		search, err := sniff.SearchFor(hub.place.Namespace, hub.place.Device, markers...)
		require.NoError(t, err)
		inHubs = append(inHubs, search)
	}
	inLAN, err := sniff.SearchFor(far.neighbour.Namespace, far.neighbour.Device, markers...)
	require.NoError(t, err)
	const calls = 200
	for i := range calls {
		request, err := http.NewRequest(http.MethodPost, c.url(at(far, i)), strings.NewReader(requestMarker))
		require.NoError(t, err)
		request.Header.Set("x-caller", identityMarker)
		response, err := c.Do(request)
		require.NoError(t, err)
		require.NoError(t, response.Body.Close())
		require.Equal(t, http.StatusOK, response.StatusCode)
	}
	said, _, err := inLAN.Close()
	require.NoError(t, err)
	for _, marker := range []string{requestMarker, answerMarker, identityMarker} {
		require.GreaterOrEqual(t, said[marker], calls, "the search does not find %s where it is", marker)
	}
	total, allPackets := 0, 0
	for _, search := range inHubs {
		found, packets, err := search.Close()
		require.NoError(t, err)
		allPackets += packets
		for marker, times := range found {
			total += times
			require.Zero(t, times, "%s in packets of a hub", marker)
		}
	}
	require.Greater(t, allPackets, 2*calls, "the calls do not pass the hubs")
	// Which services there are is known to hubs, who calls and what is said is not.
	private := []string{requestMarker, answerMarker, identityMarker}
	inEdge, _, err := searchMemory(near.process.PID(), private...)
	require.NoError(t, err)
	require.NotZero(t, inEdge[requestMarker]+inEdge[identityMarker], "the search does not find in the memory of the edge what passes it")
	var searched int64
	for _, hub := range o.hubs {
		inMemory, size, err := searchMemory(hub.process.PID(), private...)
		require.NoError(t, err)
		searched += size
		for marker, times := range inMemory {
			total += times
			require.Zero(t, times, "%s in the memory of %s", marker, hub.name)
		}
	}
	t.Figure("%d markers of %d calls in %d packets of the hubs and %.1f MiB of their memory", total, calls, allPackets, float64(searched)/(1<<20))
}

func token(t *trial) {
	o, edges := t.threeEdges()
	token := o.token("--tenant", tenant, "--edge", "late")
	o.join(edges[0].place, token, t.Directory+"/late")
	err := o.tryToJoin(edges[1].place, token, t.Directory+"/again")
	require.ErrorContains(t, err, "was used already")
	forged := strings.TrimSpace(o.token("--tenant", tenant, "--edge", "forged"))
	err = o.tryToJoin(edges[1].place, forged[:len(forged)-8]+"AAAAAAAA", t.Directory+"/forged")
	require.Error(t, err)
	t.Figure("1 of 2 uses of a token was refused, and 1 of 1 that were forged")
}

// mostRevocation is how long a revoked edge may be linked yet.
const mostRevocation = 2 * time.Second

func revocation(t *trial) {
	const perSecond = 100
	o, edges := t.threeEdges()
	near, far := edges[0], edges[1]
	calls := near.client(64).steady(perSecond, func(i int) string { return at(far, i) })
	t.Await("calls are answered", func() bool { return !calls.lastAnswer().IsZero() })
	begun := time.Now()
	_, err := o.command("revoke", "--state", o.hubs[0].directory, "--tenant", tenant, "--edge", far.name)
	require.NoError(t, err)
	isLinked := func(hub *hub) bool { return o.isLinked(hub, far) }
	t.Await("no hub is linked to the edge", func() bool { return !slices.ContainsFunc(o.hubs, isLinked) })
	cut := time.Since(begun)
	// It dials again, and is refused.
	t.Await("the edge is refused", func() bool { return strings.Contains(o.log(far.name), "CertificateRevoked") })
	t.Await("no call is answered for a while", func() bool { return time.Since(calls.lastAnswer()) > mostRevocation })
	c := near.client(1)
	for i := range 20 {
		body, err := c.ask(at(edges[2], i))
		require.NoError(t, err, "the other edge")
		require.Equal(t, edges[2].name+" "+at(edges[2], i), body)
	}
	result := calls.stop()
	last := result.last.Sub(begun)
	t.Figure("its links had ended after %s, and no call reached it after %s", cut.Round(time.Millisecond), max(0, last.Round(time.Millisecond)))
	require.LessOrEqual(t, max(cut, last), mostRevocation)
	require.False(t, slices.ContainsFunc(o.hubs, isLinked), "it is linked again")
}

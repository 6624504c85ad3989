package edges

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/stretchr/testify/require"

	"selvedge.dev/conformance/bench/machine"
	"selvedge.dev/conformance/network"
)

const (
	hubPort = 7443
	// tenant of edges, where there is but one.
	tenant = "acme"
)

// overlay is a lab with hubs that run; edges are added.
type overlay struct {
	*trial
	lab  *network.Lab
	hubs []*hub
	// uplinks is what is said of them in the files of edges.
	uplinks string
}

// hub is one, at the public host of its name. The first has the authority.
type hub struct {
	overlay   *overlay
	name      string
	place     *network.Place
	directory string
	process   *machine.Process
}

// build makes a lab and starts its public hosts as hubs.
func (t *trial) build(topology *network.Topology) *overlay {
	lab, err := network.Build(topology, t.Directory)
	require.NoError(t, err)
	t.Later(lab.Close)
	o := &overlay{trial: t, lab: lab}
	for _, host := range topology.Hosts {
		place, err := lab.Place(host.Name)
		require.NoError(t, err)
		o.hubs = append(o.hubs, &hub{overlay: o, name: host.Name, place: place, directory: filepath.Join(t.Directory, host.Name+".state")})
	}
	for i, one := range o.hubs {
		if i > 0 {
			o.join(one.place, o.token("--hub", one.name), one.directory)
		}
		one.start()
	}
	return o
}

func (h *hub) address() string { return fmt.Sprintf("%s:%d", h.place.Address, hubPort) }

// admin is where its metrics are.
func (h *hub) admin() string { return "127.0.0.1:15000" }

// start runs the hub and waits until it listens.
func (h *hub) start() {
	o := h.overlay
	words := []string{"hub", "--state", h.directory, "--listen", fmt.Sprintf("0.0.0.0:%d", hubPort), "--advertise", h.address(), "--admin", h.admin()}
	if h == o.hubs[0] {
		words = append(words, "--name", h.name, "--overlay", "mesh.example")
		for _, other := range o.hubs[1:] {
			words = append(words, "--peer", other.address())
		}
	}
	var err error
	h.process, err = o.lab.Start(h.name, h.name, exec.Command(o.settings.Selvedge, words...))
	require.NoError(o, err)
	o.Await(h.name+" listens", func() bool { return strings.Contains(o.log(h.name), "listening on") })
}

// log is what a process has written since it was started.
func (o *overlay) log(process string) string {
	data, err := os.ReadFile(o.lab.LogFile(process))
	if err != nil {
		return ""
	}
	return string(data)
}

// command runs selvedge to its end and gives what it has written to its standard output.
func (o *overlay) command(words ...string) (string, error) {
	output, err := exec.Command(o.settings.Selvedge, words...).Output()
	if failure, is := err.(*exec.ExitError); is {
		err = fmt.Errorf("selvedge %s: %w: %s", strings.Join(words, " "), err, failure.Stderr)
	}
	return string(output), err
}

// token is a new one, for whom the words say.
func (o *overlay) token(words ...string) string {
	token, err := o.command(append([]string{"token", "create", "--state", o.hubs[0].directory}, words...)...)
	require.NoError(o, err)
	return token
}

// join redeems a token at a place.
func (o *overlay) join(place *network.Place, token, directory string) {
	require.NoError(o, o.tryToJoin(place, token, directory))
}

func (o *overlay) tryToJoin(place *network.Place, token, directory string) error {
	_, err := place.Run(token, o.settings.Selvedge, "join", "-", "--state", directory)
	return err
}

// status is what checks need of `selvedge status --json`.
type status struct {
	Links []struct {
		Peer struct{ Edge, Hub struct{ Name string } }
	}
	Edges []struct {
		Name     string
		Services []string
	}
}

// status of the hub or edge that runs with a folder.
func (o *overlay) status(directory string) status {
	text, err := o.command("status", "--json", "--state", directory)
	require.NoError(o, err)
	var s status
	require.NoError(o, json.Unmarshal([]byte(text), &s), text)
	return s
}

// isLinked says that a hub has a link to an edge.
func (o *overlay) isLinked(h *hub, e *edge) bool {
	for _, link := range o.status(h.directory).Links {
		if link.Peer.Edge.Name == e.name {
			return true
		}
	}
	return false
}

// carried is how many bytes have come to each hub.
func (o *overlay) carried() []int64 {
	var all []int64
	for _, hub := range o.hubs {
		output, err := hub.place.Run("", "ip", "-json", "-stats", "link", "show", "dev", hub.place.Device)
		require.NoError(o, err)
		var links []struct {
			Stats64 struct{ RX struct{ Bytes int64 } }
		}
		require.NoError(o, json.Unmarshal([]byte(output), &links), output)
		require.Len(o, links, 1)
		all = append(all, links[0].Stats64.RX.Bytes)
	}
	return all
}

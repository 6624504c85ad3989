package edges

import (
	"os"
	"os/exec"
	"path/filepath"

	"github.com/stretchr/testify/require"

	"selvedge.dev/conformance/bench/machine"
	"selvedge.dev/conformance/network"
)

// edge is a gateway that has joined. Its clients and its backends are at another place of its LAN.
type edge struct {
	overlay *overlay
	name    string
	place   *network.Place
	// neighbour is where its clients and backends are.
	neighbour *network.Place
	directory string
	process   *machine.Process
}

// Folders of an edge, below its own.
const (
	stateFolder  = "state"
	configFolder = "config"
)

// add joins an edge at a site's place, with what it offers and takes.
func (o *overlay) add(name, tenant, place, neighbour, config string) *edge {
	e := &edge{overlay: o, name: name, directory: filepath.Join(o.Directory, name)}
	var err error
	e.place, err = o.lab.Place(place)
	require.NoError(o, err)
	e.neighbour, err = o.lab.Place(neighbour)
	require.NoError(o, err)
	require.NoError(o, os.MkdirAll(filepath.Join(e.directory, configFolder), 0o755))
	o.join(e.place, o.token("--tenant", tenant, "--edge", name), e.state())
	require.NoError(o, os.WriteFile(filepath.Join(e.state(), "edge.yaml"), []byte(config), 0o644))
	e.write("gateway.yaml", gatewayYAML)
	return e
}

// addAll joins an edge of the site's name at each site. All offer what is labelled so, and take everything.
func (o *overlay) addAll() []*edge {
	var edges []*edge
	for _, site := range o.lab.Topology.Sites {
		e := o.add(site.Name, tenant, site.Name, site.Name+"/backend", offersAndTakes+o.uplinks)
		e.serve(firstBackend, e.name)
		e.write("services.yaml", ratings(firstBackend).yaml())
		edges = append(edges, e)
	}
	return edges
}

func (e *edge) state() string { return filepath.Join(e.directory, stateFolder) }

// write puts a file into the folder of the configuration, as a whole.
func (e *edge) write(name, text string) {
	file := filepath.Join(e.directory, configFolder, name)
	// The folder is watched: nothing half may be seen in it.
	require.NoError(e.overlay, os.WriteFile(filepath.Join(e.directory, name), []byte(text), 0o644))
	require.NoError(e.overlay, os.Rename(filepath.Join(e.directory, name), file))
}

// start runs the gateway. It is not waited for.
func (e *edge) start(arguments ...string) {
	words := append([]string{"run", "--config", filepath.Join(e.directory, configFolder), "--state", e.state(), "--locality", "eu/" + e.name}, arguments...)
	var err error
	e.process, err = e.overlay.lab.Start(e.place.Name, e.name, exec.Command(e.overlay.settings.Selvedge, words...))
	require.NoError(e.overlay, err)
}

// imports is the file of what it has taken from others, or nothing.
func (e *edge) imports() []byte {
	text, err := os.ReadFile(filepath.Join(e.directory, configFolder, "selvedge-imports.yaml"))
	if err != nil {
		return nil
	}
	return text
}

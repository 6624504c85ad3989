// Package control lets other programs look at a lab and change it while it runs: HTTP over a socket in the file
// system, which only root can open.
package control

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"

	"selvedge.dev/conformance/network"
	"selvedge.dev/conformance/network/wire"
)

// folder of the sockets.
const folder = "/run/selvedge-network"

func socketOf(lab string) string { return filepath.Join(folder, lab+".sock") }

// State of a lab.
type State struct {
	Places    map[string]PlaceState `json:"places"`
	Links     map[string]LinkState  `json:"links"`
	Processes []string              `json:"processes"`
}

// PlaceState is a place. Namespace is the file of its network namespace, for nsenter.
type PlaceState struct {
	Address   netip.Addr `json:"address"`
	Namespace string     `json:"namespace"`
}

// LinkState is a link. What has no wire has no directions.
type LinkState struct {
	Public netip.Addr      `json:"public"`
	Local  netip.Addr      `json:"local"`
	Up     *DirectionState `json:"up,omitempty"`
	Down   *DirectionState `json:"down,omitempty"`
}

// DirectionState is one direction of a wire.
type DirectionState struct {
	Conditions wire.Conditions `json:"conditions"`
	Counters   wire.Counters   `json:"counters"`
}

// Command is one to start.
type Command struct {
	Place string   `json:"place"`
	Words []string `json:"words"`
	// Directory is where it runs.
	Directory string `json:"directory"`
}

// Serve answers for a lab until the listener is closed.
func Serve(lab *network.Lab) (io.Closer, error) {
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return nil, err
	}
	socket := socketOf(lab.Topology.Name)
	if connection, err := net.Dial("unix", socket); err == nil {
		_ = connection.Close()
		return nil, fmt.Errorf("a lab %q is up already", lab.Topology.Name)
	}
	// One that nobody answers was left behind.
	if err := os.Remove(socket); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	listener, err := net.Listen("unix", socket)
	if err != nil {
		return nil, err
	}
	server := &http.Server{Handler: handler(lab)}
	go func() { _ = server.Serve(listener) }()
	return server, nil
}

func handler(lab *network.Lab) http.Handler {
	mux := http.NewServeMux()
	handle := func(pattern string, answer func(*http.Request) (any, error)) {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, request *http.Request) {
			result, err := answer(request)
			if err != nil {
				http.Error(w, err.Error(), http.StatusBadRequest)
				return
			}
			_ = json.NewEncoder(w).Encode(result)
		})
	}
	onLink := func(pattern string, answer func(*network.Link, *http.Request) (any, error)) {
		handle(pattern, func(request *http.Request) (any, error) {
			link, err := lab.Link(request.PathValue("owner") + "/" + request.PathValue("device"))
			if err != nil {
				return nil, err
			}
			return answer(link, request)
		})
	}
	handle("GET /state", func(*http.Request) (any, error) { return stateOf(lab) })
	onLink("PUT /links/{owner}/{device}/{direction}", setConditions)
	onLink("POST /links/{owner}/{device}/partition", func(link *network.Link, _ *http.Request) (any, error) { return "partitioned", partition(link, true) })
	onLink("POST /links/{owner}/{device}/repair", func(link *network.Link, _ *http.Request) (any, error) { return "repaired", partition(link, false) })
	onLink("POST /links/{owner}/{device}/rebind", func(link *network.Link, _ *http.Request) (any, error) { return lab.Rebind(link) })
	onLink("POST /links/{owner}/{device}/scan", func(link *network.Link, _ *http.Request) (any, error) { return lab.Scan(link) })
	handle("POST /sites/{site}/forget", func(request *http.Request) (any, error) { return "forgotten", lab.Forget(request.PathValue("site")) })
	handle("PUT /processes/{id}", func(request *http.Request) (any, error) { return start(lab, request) })
	handle("DELETE /processes/{id}", func(request *http.Request) (any, error) { return stop(lab, request) })
	return mux
}

func stateOf(lab *network.Lab) (*State, error) {
	state := &State{map[string]PlaceState{}, map[string]LinkState{}, lab.Processes()}
	for _, name := range lab.Places() {
		place, err := lab.Place(name)
		if err != nil {
			return nil, err
		}
		state.Places[name] = PlaceState{place.Address, place.Path()}
	}
	for _, name := range lab.Links() {
		link, err := lab.Link(name)
		if err != nil {
			return nil, err
		}
		one := LinkState{Public: lab.PublicAddress(link), Local: lab.LocalAddress(link)}
		if w := link.Wire; w != nil {
			one.Up = &DirectionState{w.Conditions(wire.Up), w.Counters(wire.Up)}
			one.Down = &DirectionState{w.Conditions(wire.Down), w.Counters(wire.Down)}
		}
		state.Links[name] = one
	}
	return state, nil
}

func setConditions(link *network.Link, request *http.Request) (any, error) {
	text, err := io.ReadAll(request.Body)
	if err != nil {
		return nil, err
	}
	conditions, err := wire.Parse(string(text))
	if err != nil {
		return nil, err
	}
	if link.Wire == nil {
		return nil, noWire(link)
	}
	for _, direction := range []wire.Direction{wire.Up, wire.Down} {
		if request.PathValue("direction") == direction.String() {
			return conditions, link.Wire.Set(direction, conditions)
		}
	}
	return nil, fmt.Errorf("the direction %q is neither up nor down", request.PathValue("direction"))
}

func partition(link *network.Link, cut bool) error {
	if link.Wire == nil {
		return noWire(link)
	}
	return link.Wire.Partition(cut)
}

func noWire(link *network.Link) error { return fmt.Errorf("%s is not a wire", link.Name) }

func start(lab *network.Lab, request *http.Request) (any, error) {
	var command Command
	if err := json.NewDecoder(request.Body).Decode(&command); err != nil {
		return nil, err
	}
	if len(command.Words) == 0 {
		return nil, errors.New("no command")
	}
	line := exec.Command(command.Words[0], command.Words[1:]...)
	line.Dir = command.Directory
	id := request.PathValue("id")
	if _, err := lab.Start(command.Place, id, line); err != nil {
		return nil, err
	}
	return "it writes to " + lab.LogFile(id), nil
}

func stop(lab *network.Lab, request *http.Request) (any, error) {
	process, err := lab.Process(request.PathValue("id"))
	if err != nil {
		return nil, err
	}
	process.Stop()
	return "stopped", nil
}

package network

import (
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"os"
	"os/exec"
	"slices"
	"sync"

	"selvedge.dev/conformance/network/namespace"
	"selvedge.dev/conformance/network/wire"
)

// Names of devices.
const (
	lanDevice  = "lan"  // the router's, a bridge
	hostDevice = "lan0" // that of a host in a LAN
	wanDevice  = "wan%d"
)

// Internet is the name of the place that joins all others.
const Internet = "internet"

// Lab is a topology that exists.
type Lab struct {
	// Topology with the addresses that it left open. Rebind changes those of uplinks.
	Topology *Topology
	// Directory is where processes write.
	Directory string

	places map[string]*Place
	links  map[string]*Link

	// mutex guards the addresses of uplinks.
	mutex  sync.Mutex
	public *pool

	processes processes
}

// Place is a host, an edge, a router or the internet: a network namespace.
type Place struct {
	*namespace.Namespace
	// Address by which its neighbours find it. A router has others outside.
	Address netip.Addr
	// Device that leads to its neighbours.
	Device string
}

// Link leads from a public host or a router to the internet.
type Link struct {
	Name string
	// Wire that carries it, if the topology wants one.
	Wire *wire.Wire

	place *Place
	// device is that of place, far the other end on the internet.
	device, far string
	// site and uplink are whose it is, if it is not that of a host.
	site   *Site
	uplink int
}

// RequireRoot says in one line why nothing here works without privileges.
func RequireRoot() error {
	if os.Geteuid() != 0 {
		return errors.New("the lab needs root: it makes network namespaces")
	}
	for _, program := range []string{"ip", "nft"} {
		if _, err := exec.LookPath(program); err != nil {
			return fmt.Errorf("%w: conformance/setup installs it", err)
		}
	}
	return nil
}

// Build makes what a topology describes. What processes in it write goes to the directory.
func Build(topology *Topology, directory string) (*Lab, error) {
	if err := RequireRoot(); err != nil {
		return nil, err
	}
	complete, err := topology.complete()
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(directory, 0o755); err != nil {
		return nil, err
	}
	l := &Lab{Topology: complete, Directory: directory, places: map[string]*Place{}, links: map[string]*Link{}}
	if l.public, err = complete.publicAddresses(); err == nil {
		err = l.build()
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("lab %s: %w", complete.Name, err), l.Close())
	}
	return l, nil
}

func (l *Lab) build() error {
	internet, err := l.add(Internet, routerOfInternet, "", "")
	if err != nil {
		return err
	}
	// Nobody uses an address that is not where it came from: no packet gets through that NAT has left out.
	if err := errors.Join(internet.Set("net/ipv4/ip_forward", "1"), internet.Set("net/ipv4/conf/all/rp_filter", "1")); err != nil {
		return err
	}
	for i := range l.Topology.Hosts {
		if err := l.addPublicHost(&l.Topology.Hosts[i]); err != nil {
			return fmt.Errorf("host %s: %w", l.Topology.Hosts[i].Name, err)
		}
	}
	for i := range l.Topology.Sites {
		if err := l.addSite(&l.Topology.Sites[i]); err != nil {
			return fmt.Errorf("site %s: %w", l.Topology.Sites[i].Name, err)
		}
	}
	return nil
}

// add makes a place, in a namespace of its own or in that of a file.
func (l *Lab) add(name string, address netip.Addr, device, file string) (*Place, error) {
	var n *namespace.Namespace
	var err error
	if file == "" {
		n, err = namespace.New(name)
	} else {
		n, err = namespace.Open(name, file)
	}
	if err != nil {
		return nil, err
	}
	place := &Place{Namespace: n, Address: address, Device: device}
	l.places[name] = place
	return place, nil
}

func (l *Lab) addPublicHost(host *PublicHost) error {
	device := fmt.Sprintf(wanDevice, 0)
	place, err := l.add(host.Name, host.Address, device, "")
	if err != nil {
		return err
	}
	if _, err := l.connect(place, host.Name, device, host.Address, host.Wire); err != nil {
		return err
	}
	return place.IP(fmt.Sprintf("route add default via %s dev %s onlink", routerOfInternet, device))
}

// connect leads from a place to the internet.
func (l *Lab) connect(place *Place, owner, device string, address netip.Addr, w *Wire) (*Link, error) {
	internet := l.places[Internet]
	link := &Link{Name: owner + "/" + device, place: place, device: device, far: fmt.Sprintf("link%d", len(l.links))}
	if w != nil {
		var err error
		near, far := wire.End{Namespace: place.Namespace, Device: device}, wire.End{Namespace: internet.Namespace, Device: link.far}
		if link.Wire, err = wire.Connect(near, far, w.Up, w.Down); err != nil {
			return nil, err
		}
	} else if err := pair(place, device, internet, link.far); err != nil {
		return nil, err
	}
	l.links[link.Name] = link
	return link, errors.Join(
		place.IP(fmt.Sprintf("addr add %s/32 dev %s", address, device)),
		internet.IP(fmt.Sprintf("addr add %s/32 dev %s", routerOfInternet, link.far), fmt.Sprintf("route add %s dev %s", address, link.far)),
	)
}

// pair joins two places by a link of the kernel.
func pair(one *Place, device string, other *Place, otherDevice string) error {
	err := one.IP(
		fmt.Sprintf("link add %s type veth peer name %s netns %s", device, otherDevice, other.Path()),
		fmt.Sprintf("link set %s up", device),
	)
	return errors.Join(err, other.IP(fmt.Sprintf("link set %s up", otherDevice)))
}

// Place by its name.
func (l *Lab) Place(name string) (*Place, error) {
	if place := l.places[name]; place != nil {
		return place, nil
	}
	return nil, fmt.Errorf("there is no place %q, but %v", name, l.Places())
}

// Places are the names of all places.
func (l *Lab) Places() []string { return slices.Sorted(maps.Keys(l.places)) }

// Link by its name.
func (l *Lab) Link(name string) (*Link, error) {
	if link := l.links[name]; link != nil {
		return link, nil
	}
	return nil, fmt.Errorf("there is no link %q, but %v", name, l.Links())
}

// Links are the names of all links.
func (l *Lab) Links() []string { return slices.Sorted(maps.Keys(l.links)) }

// Close ends all processes and takes the lab away.
func (l *Lab) Close() error {
	l.processes.killAll()
	var failures []error
	for _, link := range l.links {
		if link.Wire != nil {
			failures = append(failures, link.Wire.Close())
		}
	}
	for _, place := range l.places {
		failures = append(failures, place.Close())
	}
	return errors.Join(failures...)
}

package network

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"selvedge.dev/conformance/network/sniff"
)

const (
	lastPort = 65535
	// chunk of ports that are asked before it is seen whether the router has got them.
	chunk = 1024
	// patience with a chunk, before what is missing of it is asked again, and how often.
	patience = time.Second
	attempts = 10
	// grace is for the last answers, which come from kernels, not from processes.
	grace = 200 * time.Millisecond
)

// Exposure is what of a site can be reached from the internet by one of its uplinks.
type Exposure struct {
	// Asked is how many ports were asked, of TCP and UDP, as the router has seen.
	Asked int `json:"asked"`
	// Answered are the ports whose questions the router or somebody behind it answered in any way, like "tcp/443".
	Answered []string `json:"answered"`
	// Entered are those whose questions got into the LAN.
	Entered []string `json:"entered"`
	// Listening are the sockets in the site that would take what comes to them.
	Listening []string `json:"listening"`
}

// Reachable says that something can be reached.
func (e *Exposure) Reachable() bool { return len(e.Answered)+len(e.Entered) > 0 }

func (e *Exposure) String() string {
	return fmt.Sprintf("%d ports asked, answered: %s; got into the LAN: %s; %d sockets listen: %s",
		e.Asked, list(e.Answered), list(e.Entered), len(e.Listening), list(e.Listening))
}

func list(words []string) string {
	if len(words) == 0 {
		return "none"
	}
	if most := 20; len(words) > most {
		return fmt.Sprintf("%s and %d more", strings.Join(words[:most], " "), len(words)-most)
	}
	return strings.Join(words, " ")
}

// scan is what is known while one goes on.
type scan struct {
	mutex             sync.Mutex
	asked             map[string]bool
	answered, entered map[string]bool
}

// Scan asks every port of TCP and UDP of an uplink's address from the internet, and looks at the router's devices
// for what becomes of it.
func (l *Lab) Scan(link *Link) (*Exposure, error) {
	if link.site == nil {
		return nil, fmt.Errorf("%s is not behind NAT", link.Name)
	}
	s := &scan{asked: map[string]bool{}, answered: map[string]bool{}, entered: map[string]bool{}}
	prober, err := newProber(l.places[Internet], l.PublicAddress(link))
	if err != nil {
		return nil, err
	}
	defer func() { _ = prober.close() }()
	outside, err := sniff.Open(link.place.Namespace, link.device, func(packet sniff.Packet) { s.seeOutside(prober, packet) })
	if err != nil {
		return nil, err
	}
	inside, err := sniff.Open(link.place.Namespace, lanDevice, func(packet sniff.Packet) { s.seeInside(prober, packet) })
	if err != nil {
		return nil, errors.Join(err, outside.Close())
	}
	failure := errors.Join(s.askAll(prober, unix.IPPROTO_TCP), s.askAll(prober, unix.IPPROTO_UDP))
	time.Sleep(grace)
	if err := errors.Join(failure, outside.Close(), inside.Close()); err != nil {
		return nil, fmt.Errorf("scan of %s: %w", link.Name, err)
	}
	listening, err := l.listening(link.site)
	return &Exposure{len(s.asked), slices.Sorted(maps.Keys(s.answered)), slices.Sorted(maps.Keys(s.entered)), listening}, err
}

// seeOutside sees questions and answers at the router's device.
func (s *scan) seeOutside(prober *prober, packet sniff.Packet) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	switch {
	case packet.Source.Addr() == prober.from && packet.Source.Port() == probePort:
		s.asked[portName(packet.Protocol, packet.Destination.Port())] = true
	case packet.Destination.Addr() == prober.from && !isOther(packet):
		s.answered[portName(packet.Protocol, packet.Source.Port())] = true
	}
}

// isOther says that a packet belongs to a connection that is not of the scan. Errors of ICMP are no connections.
func isOther(packet sniff.Packet) bool {
	return (packet.Protocol == unix.IPPROTO_TCP || packet.Protocol == unix.IPPROTO_UDP) && packet.Destination.Port() != probePort
}

// seeInside sees what the router has let through.
func (s *scan) seeInside(prober *prober, packet sniff.Packet) {
	if packet.Source.Addr() == prober.from && packet.Source.Port() == probePort {
		s.mutex.Lock()
		defer s.mutex.Unlock()
		s.entered[portName(packet.Protocol, packet.Destination.Port())] = true
	}
}

func portName(protocol byte, port uint16) string {
	switch protocol {
	case unix.IPPROTO_TCP:
		return fmt.Sprintf("tcp/%d", port)
	case unix.IPPROTO_UDP:
		return fmt.Sprintf("udp/%d", port)
	}
	return fmt.Sprintf("protocol %d", protocol)
}

func (s *scan) askAll(prober *prober, protocol byte) error {
	for first := 1; first <= lastPort; first += chunk {
		var ports []uint16
		for port := first; port <= min(first+chunk-1, lastPort); port++ {
			ports = append(ports, uint16(port))
		}
		if err := s.askChunk(prober, protocol, ports); err != nil {
			return err
		}
	}
	return nil
}

// askChunk asks until the router has got all questions.
func (s *scan) askChunk(prober *prober, protocol byte, ports []uint16) error {
	for range attempts {
		for _, port := range ports {
			if err := prober.ask(protocol, port); err != nil {
				return err
			}
		}
		for deadline := time.Now().Add(patience); len(ports) > 0 && time.Now().Before(deadline); time.Sleep(time.Millisecond) {
			ports = s.unasked(protocol, ports)
		}
		if len(ports) == 0 {
			return nil
		}
	}
	return fmt.Errorf("%d questions do not arrive at the router, the first for %s", len(ports), portName(protocol, ports[0]))
}

func (s *scan) unasked(protocol byte, ports []uint16) []uint16 {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	return slices.DeleteFunc(ports, func(port uint16) bool { return s.asked[portName(protocol, port)] })
}

// listening are the sockets of a site, with where they are.
func (l *Lab) listening(site *Site) ([]string, error) {
	names := []string{site.Name, site.Name + "/router"}
	for _, host := range site.Hosts {
		names = append(names, site.Name+"/"+host.Name)
	}
	var found []string
	for _, name := range names {
		place, err := l.Place(name)
		if err != nil {
			return nil, err
		}
		sockets, err := place.Listening()
		if err != nil {
			return nil, fmt.Errorf("sockets of %s: %w", name, err)
		}
		for _, socket := range sockets {
			found = append(found, fmt.Sprintf("%s %s/%s", name, socket.Network, socket.Address))
		}
	}
	return found, nil
}

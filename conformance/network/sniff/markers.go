package sniff

import (
	"bytes"
	"net/netip"
	"sync"

	"selvedge.dev/conformance/network/namespace"
)

// mostFlows are remembered at a time.
const mostFlows = 1 << 16

// Search looks for texts in what passes an interface. A text may begin in one packet and end in the next of the
// same flow, as long as they come in their order.
type Search struct {
	sniffer *Sniffer

	mutex   sync.Mutex
	markers [][]byte
	longest int
	found   map[string]int
	packets int
	// ends of what flows have carried, as long as a marker that may go on.
	ends map[flow][]byte
}

type flow struct {
	protocol            byte
	source, destination netip.AddrPort
}

// SearchFor begins to look for texts at an interface of the namespace.
func SearchFor(n *namespace.Namespace, device string, texts ...string) (*Search, error) {
	s := newSearch(texts)
	sniffer, err := Open(n, device, s.look)
	s.sniffer = sniffer
	return s, err
}

func newSearch(texts []string) *Search {
	s := &Search{found: map[string]int{}, ends: map[flow][]byte{}}
	for _, text := range texts {
		s.markers = append(s.markers, []byte(text))
		s.longest = max(s.longest, len(text))
	}
	return s
}

func (s *Search) look(packet Packet) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	s.packets++
	if len(packet.Payload) == 0 {
		return
	}
	key := flow{packet.Protocol, packet.Source, packet.Destination}
	end := s.ends[key]
	text := append(end[:len(end):len(end)], packet.Payload...)
	for _, marker := range s.markers {
		// What lies within the end was counted before.
		from := max(0, len(end)-len(marker)+1)
		s.found[string(marker)] += bytes.Count(text[min(from, len(text)):], marker)
	}
	if len(s.ends) >= mostFlows {
		clear(s.ends)
	}
	s.ends[key] = bytes.Clone(text[max(0, len(text)-s.longest+1):])
}

// Close ends the search. It says how often each text was found and in how many packets it was looked for; that it
// did not see all packets is an error.
func (s *Search) Close() (found map[string]int, packets int, err error) {
	err = s.sniffer.Close()
	return s.found, s.packets, err
}

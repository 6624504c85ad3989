// Package sniff sees what passes an interface: packets of IPv4, whole and from the network layer on.
package sniff

import (
	"encoding/binary"
	"net/netip"

	"golang.org/x/sys/unix"
)

// Packet of IPv4.
type Packet struct {
	// Protocol is IPv4's number (unix.IPPROTO_TCP ...).
	Protocol byte
	// Source and Destination have ports if the protocol is TCP or UDP.
	Source, Destination netip.AddrPort
	// Flags of TCP.
	Flags byte
	// Payload is what TCP or UDP carry, and of other protocols everything. It is valid until the next packet.
	Payload []byte
}

// Flags of TCP (RFC 9293, 3.1).
const (
	FlagSYN = 0x02
	FlagRST = 0x04
	FlagACK = 0x10
)

const (
	leastIP     = 20
	leastTCP    = 20
	lengthOfUDP = 8
)

// parse reads a packet; what is not IPv4 is none.
func parse(bytes []byte) (packet Packet, valid bool) {
	if len(bytes) < leastIP || bytes[0]>>4 != 4 {
		return Packet{}, false
	}
	head := int(bytes[0]&0x0f) * 4
	length := int(binary.BigEndian.Uint16(bytes[2:]))
	// A packet that the kernel has put together of more than fits has no length.
	if length == 0 || length > len(bytes) {
		length = len(bytes)
	}
	if head < leastIP || length < head {
		return Packet{}, false
	}
	packet.Protocol = bytes[9]
	packet.Payload = bytes[head:length]
	var ports [2]uint16
	switch packet.Protocol {
	case unix.IPPROTO_TCP:
		if len(packet.Payload) < leastTCP {
			return Packet{}, false
		}
		packet.Flags = packet.Payload[13]
		ports, packet.Payload = portsOf(packet.Payload, int(packet.Payload[12]>>4)*4)
	case unix.IPPROTO_UDP:
		if len(packet.Payload) < lengthOfUDP {
			return Packet{}, false
		}
		ports, packet.Payload = portsOf(packet.Payload, lengthOfUDP)
	}
	packet.Source = netip.AddrPortFrom(netip.AddrFrom4([4]byte(bytes[12:16])), ports[0])
	packet.Destination = netip.AddrPortFrom(netip.AddrFrom4([4]byte(bytes[16:20])), ports[1])
	return packet, true
}

// portsOf reads what TCP and UDP begin with, and cuts their head off.
func portsOf(bytes []byte, head int) (ports [2]uint16, payload []byte) {
	ports = [2]uint16{binary.BigEndian.Uint16(bytes), binary.BigEndian.Uint16(bytes[2:])}
	return ports, bytes[min(head, len(bytes)):]
}

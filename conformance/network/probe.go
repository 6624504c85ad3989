package network

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"

	"golang.org/x/sys/unix"

	"selvedge.dev/conformance/network/sniff"
)

// probePort is where probes come from. Nobody listens there.
const probePort = 40000

// prober sends single packets that ask a port for an answer, without waiting for it.
type prober struct {
	socket   int
	from, to netip.Addr
}

// newProber is one at a place, which must have the address that it sends from.
func newProber(place *Place, to netip.Addr) (*prober, error) {
	p := &prober{from: place.Address, to: to}
	err := place.Do(func() (err error) {
		// The kernel adds the length and the checksum of IP.
		p.socket, err = unix.Socket(unix.AF_INET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.IPPROTO_RAW)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("a raw socket at %s: %w", place.Name, err)
	}
	return p, nil
}

func (p *prober) close() error { return unix.Close(p.socket) }

// ask a port: by TCP for a connection, by UDP for anything. A full queue is no error: what got lost is asked again.
func (p *prober) ask(protocol byte, port uint16) error {
	var segment []byte
	if protocol == unix.IPPROTO_TCP {
		segment = make([]byte, 20)
		segment[12] = 5 << 4 // words of the head
		segment[13] = sniff.FlagSYN
		binary.BigEndian.PutUint16(segment[14:], 65535)
	} else {
		segment = append(make([]byte, 8), "hello"...)
		binary.BigEndian.PutUint16(segment[4:], uint16(len(segment)))
	}
	binary.BigEndian.PutUint16(segment, probePort)
	binary.BigEndian.PutUint16(segment[2:], port)
	checksumAt := map[byte]int{unix.IPPROTO_TCP: 16, unix.IPPROTO_UDP: 6}[protocol]
	binary.BigEndian.PutUint16(segment[checksumAt:], transportChecksum(p.from, p.to, protocol, segment))
	head := make([]byte, 20, 20+len(segment))
	head[0], head[8], head[9] = 0x45, 64, protocol
	from, to := p.from.As4(), p.to.As4()
	copy(head[12:], from[:])
	copy(head[16:], to[:])
	err := unix.Sendto(p.socket, append(head, segment...), 0, &unix.SockaddrInet4{Addr: to})
	if errors.Is(err, unix.ENOBUFS) {
		return nil
	}
	return err
}

// transportChecksum of TCP and UDP over IPv4 (RFC 9293, 3.1), where the field is still 0.
func transportChecksum(from, to netip.Addr, protocol byte, segment []byte) uint16 {
	sum := uint32(protocol) + uint32(len(segment))
	add := func(bytes []byte) {
		for i := 0; i+1 < len(bytes); i += 2 {
			sum += uint32(binary.BigEndian.Uint16(bytes[i:]))
		}
		if len(bytes)%2 == 1 {
			sum += uint32(bytes[len(bytes)-1]) << 8
		}
	}
	source, destination := from.As4(), to.As4()
	add(source[:])
	add(destination[:])
	add(segment)
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	return ^uint16(sum)
}

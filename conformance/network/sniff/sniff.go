package sniff

import (
	"errors"
	"fmt"
	"math/bits"
	"net"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"selvedge.dev/conformance/network/namespace"
)

// receiveBuffer is what the kernel keeps until it is looked at: a second of a gigabit per second.
const receiveBuffer = 128 << 20

// largest packet that the kernel puts together of several.
const largest = 1 << 16

// Sniffer sees the packets of one interface, in both directions.
type Sniffer struct {
	file  *os.File
	ended chan error
	look  func(Packet)
}

// Open calls look for every packet from now on, one at a time. The interface is one of the namespace.
func Open(n *namespace.Namespace, device string, look func(Packet)) (*Sniffer, error) {
	s := &Sniffer{ended: make(chan error, 1), look: look}
	err := n.Do(func() (err error) {
		s.file, err = open(device)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("look at %s of %s: %w", device, n.Name, err)
	}
	go func() { s.ended <- s.run() }()
	return s, nil
}

func open(device string) (*os.File, error) {
	found, err := net.InterfaceByName(device)
	if err != nil {
		return nil, err
	}
	// Until it is bound it must not take anything: its protocol is none.
	socket, err := unix.Socket(unix.AF_PACKET, unix.SOCK_DGRAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	err = errors.Join(
		unix.SetsockoptInt(socket, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, receiveBuffer),
		unix.Bind(socket, &unix.SockaddrLinklayer{Protocol: bits.ReverseBytes16(unix.ETH_P_ALL), Ifindex: found.Index}),
	)
	if err != nil {
		return nil, errors.Join(err, unix.Close(socket))
	}
	return os.NewFile(uintptr(socket), "packets of "+device), nil
}

func (s *Sniffer) run() error {
	buffer := make([]byte, largest)
	for {
		length, err := s.file.Read(buffer)
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded):
			return s.rest(buffer)
		case err != nil:
			return err
		}
		s.see(buffer[:length])
	}
}

// rest looks at what has come and was not read yet.
func (s *Sniffer) rest(buffer []byte) error {
	raw, err := s.file.SyscallConn()
	if err != nil {
		return err
	}
	var failure error
	err = raw.Control(func(socket uintptr) {
		for {
			length, _, err := unix.Recvfrom(int(socket), buffer, unix.MSG_DONTWAIT)
			if errors.Is(err, unix.EAGAIN) {
				return
			}
			if err != nil {
				failure = err
				return
			}
			s.see(buffer[:length])
		}
	})
	return errors.Join(err, failure)
}

func (s *Sniffer) see(bytes []byte) {
	if packet, valid := parse(bytes); valid {
		s.look(packet)
	}
}

// Close looks at what has come up to now and ends. That packets came too fast to see all of them is an error.
func (s *Sniffer) Close() error {
	if err := s.file.SetReadDeadline(time.Now()); err != nil {
		return errors.Join(err, s.file.Close())
	}
	failure := <-s.ended
	missed, err := s.missed()
	if missed > 0 {
		err = fmt.Errorf("%d packets were not seen: they came too fast", missed)
	}
	return errors.Join(failure, err, s.file.Close())
}

// missed counts the packets for which there was no room.
func (s *Sniffer) missed() (count uint32, err error) {
	raw, err := s.file.SyscallConn()
	if err != nil {
		return 0, err
	}
	var failure error
	err = raw.Control(func(socket uintptr) {
		var statistics *unix.TpacketStats
		if statistics, failure = unix.GetsockoptTpacketStats(int(socket), unix.SOL_PACKET, unix.PACKET_STATISTICS); failure == nil {
			count = statistics.Drops
		}
	})
	return count, errors.Join(err, failure)
}

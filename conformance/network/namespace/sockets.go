package namespace

import (
	"encoding/hex"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
)

// Socket is one that takes what comes to it: a TCP socket that listens, or a UDP socket with a port that is
// not connected.
type Socket struct {
	// Network is "tcp" or "udp".
	Network string
	Address netip.AddrPort
}

// States of sockets in the kernel's tables (include/net/tcp_states.h).
const (
	stateClose  = 0x07
	stateListen = 0x0a
)

// Listening are the sockets in the namespace that take what comes to them, as `ss -lntu` shows them.
func (n *Namespace) Listening() (sockets []Socket, err error) {
	err = n.Do(func() error {
		for _, table := range []struct {
			file, network string
			state         uint64
		}{
			{"tcp", "tcp", stateListen}, {"tcp6", "tcp", stateListen}, {"udp", "udp", stateClose}, {"udp6", "udp", stateClose},
		} {
			// Not /proc/net: that is the namespace of the process's first thread.
			data, err := os.ReadFile("/proc/thread-self/net/" + table.file)
			if err != nil {
				return err
			}
			addresses, err := parseSockets(string(data), table.state)
			if err != nil {
				return fmt.Errorf("/proc/net/%s: %w", table.file, err)
			}
			for _, address := range addresses {
				sockets = append(sockets, Socket{table.network, address})
			}
		}
		return nil
	})
	return sockets, err
}

// parseSockets reads the local addresses of the sockets in a state from one of the kernel's tables.
func parseSockets(table string, state uint64) ([]netip.AddrPort, error) {
	var addresses []netip.AddrPort
	lines := strings.Split(strings.TrimSpace(table), "\n")
	for _, line := range lines[1:] {
		fields := strings.Fields(line)
		if len(fields) < 4 {
			return nil, fmt.Errorf("%q has too few fields", line)
		}
		if found, err := strconv.ParseUint(fields[3], 16, 8); err != nil || found != state {
			if err != nil {
				return nil, err
			}
			continue
		}
		address, err := parseAddress(fields[1])
		if err != nil {
			return nil, err
		}
		addresses = append(addresses, address)
	}
	return addresses, nil
}

// parseAddress reads an address as the kernel's tables have it: words of 32 bits in the machine's order, which
// is little-endian on everything that this runs on, a colon and the port.
func parseAddress(text string) (netip.AddrPort, error) {
	address, port, _ := strings.Cut(text, ":")
	bytes, err := hex.DecodeString(address)
	if err != nil {
		return netip.AddrPort{}, err
	}
	for word := range slices.Chunk(bytes, 4) {
		slices.Reverse(word)
	}
	ip, valid := netip.AddrFromSlice(bytes)
	number, err := strconv.ParseUint(port, 16, 16)
	if err != nil || !valid {
		return netip.AddrPort{}, fmt.Errorf("%q is no address", text)
	}
	return netip.AddrPortFrom(ip.Unmap(), uint16(number)), nil
}

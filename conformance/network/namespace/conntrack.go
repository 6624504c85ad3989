package namespace

import (
	"encoding/binary"
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// The message that deletes all entries of connection tracking (include/uapi/linux/netfilter/nfnetlink*.h).
const (
	subsystemConntrack = 1
	messageDelete      = 2
	lengthOfHeaders    = unix.SizeofNlMsghdr + 4
)

// ForgetConnections deletes what connection tracking in the namespace knows, NAT's mappings among it.
func (n *Namespace) ForgetConnections() error {
	return n.Do(func() error {
		if err := flushConntrack(); err != nil {
			return fmt.Errorf("forget the connections of %s: %w", n.Name, err)
		}
		return nil
	})
}

func flushConntrack() error {
	socket, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_NETFILTER)
	if err != nil {
		return err
	}
	defer func() { _ = unix.Close(socket) }()
	// Without an address family, which is the last four bytes, and without attributes: all of them.
	message := make([]byte, lengthOfHeaders)
	binary.NativeEndian.PutUint32(message, lengthOfHeaders)
	binary.NativeEndian.PutUint16(message[4:], subsystemConntrack<<8|messageDelete)
	binary.NativeEndian.PutUint16(message[6:], unix.NLM_F_REQUEST|unix.NLM_F_ACK)
	if err := unix.Sendto(socket, message, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return err
	}
	answer := make([]byte, 4096)
	length, _, err := unix.Recvfrom(socket, answer, 0)
	if err != nil {
		return err
	}
	if length < unix.SizeofNlMsghdr+4 || binary.NativeEndian.Uint16(answer[4:]) != unix.NLMSG_ERROR {
		return fmt.Errorf("the kernel's answer of %d bytes is none", length)
	}
	if code := int32(binary.NativeEndian.Uint32(answer[unix.SizeofNlMsghdr:])); code != 0 {
		return unix.Errno(-code)
	}
	return nil
}

// Tracks says whether connection tracking in the namespace knows a connection whose line has all of these
// words, like "tcp" and "dport=80".
func (n *Namespace) Tracks(words ...string) (known bool, err error) {
	err = n.Do(func() error {
		data, err := os.ReadFile("/proc/thread-self/net/nf_conntrack")
		for line := range strings.Lines(string(data)) {
			known = known || hasAll(strings.Fields(line), words)
		}
		return err
	})
	return known, err
}

func hasAll(fields, words []string) bool {
	found := map[string]bool{}
	for _, field := range fields {
		found[field] = true
	}
	for _, word := range words {
		if !found[word] {
			return false
		}
	}
	return true
}

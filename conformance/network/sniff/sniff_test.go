package sniff

import (
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// segment is a packet of TCP from 192.0.2.1:80 to 198.51.100.2:443.
func segment(payload string) []byte {
	bytes := []byte{
		0x45, 0, 0, byte(40 + len(payload)), 0, 0, 0, 0, 64, unix.IPPROTO_TCP, 0, 0, 192, 0, 2, 1, 198, 51, 100, 2,
		0, 80, 1, 0xbb, 0, 0, 0, 1, 0, 0, 0, 2, 0x50, FlagACK, 0, 0, 0, 0, 0, 0,
	}
	return append(bytes, payload...)
}

func TestParse(t *testing.T) {
	packet, valid := parse(append(segment("hello"), 0, 0)) // Ethernet fills short packets up.
	require.True(t, valid)
	require.Equal(t, netip.MustParseAddrPort("192.0.2.1:80"), packet.Source)
	require.Equal(t, netip.MustParseAddrPort("198.51.100.2:443"), packet.Destination)
	require.EqualValues(t, FlagACK, packet.Flags)
	require.Equal(t, "hello", string(packet.Payload))

	datagram := segment("")[:28]
	datagram[3], datagram[9] = 28, unix.IPPROTO_UDP
	packet, valid = parse(datagram)
	require.True(t, valid)
	require.EqualValues(t, 443, packet.Destination.Port())
	require.Empty(t, packet.Payload)
}

func TestParseOfWhatIsBroken(t *testing.T) {
	whole := segment("hello")
	for length := range len(whole) {
		packet, valid := parse(whole[:length])
		require.Equal(t, length >= 40, valid, length)
		require.LessOrEqual(t, len(packet.Payload), max(0, length-40))
	}
	for i := range whole {
		for _, value := range []byte{0, 0x40, 0x4f, 0xff} {
			broken := segment("hello")
			broken[i] = value
			parse(broken)
		}
	}
}

func TestMarkersAcrossPackets(t *testing.T) {
	s := newSearch([]string{"secret", "in clear", "absent"})
	for _, payload := range []string{"a secret and another sec", "ret, all of it in", " clear", "", "sec", "ond"} {
		packet, valid := parse(segment(payload))
		require.True(t, valid)
		s.look(packet)
	}
	other := Packet{Protocol: unix.IPPROTO_UDP, Payload: []byte("sec")}
	s.look(other)
	other.Protocol, other.Payload = unix.IPPROTO_TCP, []byte("ret")
	s.look(other)
	require.Equal(t, map[string]int{"secret": 2, "in clear": 1, "absent": 0}, s.found)
	require.Equal(t, 8, s.packets)
}

package network

import (
	"encoding/hex"
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

func TestTransportChecksum(t *testing.T) {
	// With its checksum in place, a segment sums up to nothing.
	from, to := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("198.51.100.7")
	for _, text := range []string{"9c4001bb0000000000000000500200ff00000000", "9c4001bb000d0000616263"} {
		segment, err := hex.DecodeString(text)
		require.NoError(t, err)
		at := 16
		if len(segment) < 20 {
			at = 6
		}
		sum := transportChecksum(from, to, unix.IPPROTO_TCP, segment)
		require.NotZero(t, sum)
		segment[at], segment[at+1] = byte(sum>>8), byte(sum)
		require.Zero(t, transportChecksum(from, to, unix.IPPROTO_TCP, segment))
		segment[0]++
		require.NotZero(t, transportChecksum(from, to, unix.IPPROTO_TCP, segment))
	}
}

package namespace

import (
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"
)

const tcpTable = `  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1 1 0 100 0 0 10 0
   1: 0200A80A:01BB 0100000A:C350 01 00000000:00000000 00:00000000 00000000     0        0 2 1 0 20 4 30 10 -1
`

const tcp6Table = `  sl  local_address                         remote_address                        st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 00000000000000000000000001000000:0050 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 3 1 0 100 0 0 10 0
`

func TestSocketsOfTables(t *testing.T) {
	for name, one := range map[string]struct {
		table  string
		state  uint64
		wanted []netip.AddrPort
	}{
		"listening":        {tcpTable, stateListen, []netip.AddrPort{netip.MustParseAddrPort("127.0.0.1:8080")}},
		"of another state": {tcpTable, 0x01, []netip.AddrPort{netip.MustParseAddrPort("10.168.0.2:443")}},
		"of IPv6":          {tcp6Table, stateListen, []netip.AddrPort{netip.MustParseAddrPort("[::1]:80")}},
	} {
		addresses, err := parseSockets(one.table, one.state)
		require.NoError(t, err, name)
		require.Equal(t, one.wanted, addresses, name)
	}
	_, err := parseSockets("head\n0: nonsense 0 0A\n", stateListen)
	require.Error(t, err)
}

package network

import (
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"sigs.k8s.io/yaml"

	"selvedge.dev/conformance/network/wire"
)

const example = `
name: example
hosts:
- {name: hub}
- {name: other, address: 203.0.113.1}
sites:
- name: a
  idleSeconds: 30
  hosts: [{name: backend}, {name: cluster, namespace: /run/netns/selvedge-lab, address: 10.42.1.1}]
  uplinks:
  - {nat: endpoint-independent, wire: {up: delay=20ms rate=10Mbit, down: loss=1%}}
  - {nat: symmetric, forward: [8443]}
- {name: b, lan: 192.168.0.0/16, uplinks: [{nat: symmetric, wire: {}}]}
`

func TestTopologyInYAML(t *testing.T) {
	topology, err := Parse([]byte(example))
	require.NoError(t, err)
	address := netip.MustParseAddr
	require.Equal(t, &Topology{
		Name:  "example",
		Hosts: []PublicHost{{Name: "hub", Address: address("203.0.113.2")}, {Name: "other", Address: address("203.0.113.1")}},
		Sites: []Site{
			{
				Name: "a", LAN: defaultLAN, IdleSeconds: 30,
				Hosts: []LANHost{
					{Name: "backend", Address: address("10.42.1.2")},
					{Name: "cluster", Address: address("10.42.1.1"), Namespace: "/run/netns/selvedge-lab"},
				},
				Uplinks: []Uplink{
					{NAT: EndpointIndependent, Address: address("198.51.100.1"), Wire: &Wire{
						Up: wire.Conditions{Delay: 20 * time.Millisecond, Rate: 10_000_000}, Down: wire.Conditions{Loss: 0.01},
					}},
					{NAT: Symmetric, Address: address("198.51.100.2"), Forward: []uint16{8443}},
				},
			},
			{
				Name: "b", LAN: netip.MustParsePrefix("192.168.0.0/16"),
				Uplinks: []Uplink{{NAT: Symmetric, Address: address("198.51.100.3"), Wire: &Wire{}}},
			},
		},
	}, topology)
	written, err := yaml.Marshal(topology)
	require.NoError(t, err)
	again, err := Parse(written)
	require.NoError(t, err, string(written))
	require.Equal(t, topology, again)
}

func TestTopologiesThatAreWrong(t *testing.T) {
	for text, complaint := range map[string]string{
		"name: A":                              "name",
		"{name: a, hosts: [{name: internet}]}": "internet",
		"{name: a, hosts: [{name: x}], sites: [{name: x, uplinks: [{nat: symmetric}]}]}":                     "x",
		"{name: a, hosts: [{name: x, address: 192.0.2.1}]}":                                                  "192.0.2.1",
		"{name: a, hosts: [{name: x, address: 8.8.8.8}]}":                                                    "8.8.8.8",
		"{name: a, sites: [{name: x}]}":                                                                      "uplink",
		"{name: a, sites: [{name: x, uplinks: [{nat: full-cone}]}]}":                                         "full-cone",
		"{name: a, sites: [{name: x, uplinks: [{nat: symmetric, wire: {up: speed=1}}]}]}":                    "speed",
		"{name: a, sites: [{name: x, uplinks: [{nat: symmetric, forward: [0]}]}]}":                           "port 0",
		"{name: a, sites: [{name: x, lan: 8.8.0.0/16, uplinks: [{nat: symmetric}]}]}":                        "8.8.0.0",
		"{name: a, sites: [{name: x, lan: 10.0.0.0/24, uplinks: [{nat: symmetric}]}]}":                       "/24",
		"{name: a, sites: [{name: x, uplinks: [{nat: symmetric}], hosts: [{name: router}]}]}":                "router",
		"{name: a, sites: [{name: x, uplinks: [{nat: symmetric}], hosts: [{name: y, address: 10.42.0.2}]}]}": "10.42.0.2",
		"{name: a, sites: [{name: x, uplinks: [{nat: symmetric}], hosts: [{name: y, address: 10.43.0.2}]}]}": "10.43.0.2",
		"{name: a, sites: [{name: x, uplinks: [{nat: symmetric, colour: red}]}]}":                            "colour",
	} {
		_, err := Parse([]byte(text))
		require.ErrorContains(t, err, complaint, text)
	}
}

func TestThreeEdgesAreComplete(t *testing.T) {
	topology, err := ThreeEdges().complete()
	require.NoError(t, err)
	for _, site := range topology.Sites {
		require.Equal(t, "10.42.0.0/16", site.LAN.String())
		require.Equal(t, "10.42.1.1", site.Hosts[0].Address.String())
	}
	again, err := topology.complete()
	require.NoError(t, err)
	require.Equal(t, topology, again)
}

func TestRulesOfBothKindsOfNAT(t *testing.T) {
	topology, err := Parse([]byte(example))
	require.NoError(t, err)
	rules := topology.Sites[0].rules()
	require.Contains(t, rules, `oifname "wan0" masquerade`+"\n")
	require.Contains(t, rules, `oifname "wan1" masquerade fully-random`)
	require.Contains(t, rules, "ip daddr 198.51.100.2 meta l4proto { tcp, udp } th dport 8443 dnat to 10.42.0.3")
	require.Contains(t, rules, "@cone0")
	require.NotContains(t, rules, "cone1")
	require.NotContains(t, rules, "%!")
}

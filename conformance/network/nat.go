package network

import (
	"fmt"
	"strings"
)

// rules are those of a site's router, for nft: NAT, nothing from outside, and what may come in all the same.
func (s *Site) rules() string {
	var maps, inward, outward, mapped []string
	for i, uplink := range s.Uplinks {
		wan := fmt.Sprintf("wan%d", i)
		for _, port := range uplink.Forward {
			inward = append(inward, fmt.Sprintf("ip daddr %s meta l4proto { tcp, udp } th dport %d dnat to %s", uplink.Address, port, s.edge(i)))
		}
		if uplink.NAT == Symmetric {
			outward = append(outward, fmt.Sprintf("oifname %q masquerade fully-random", wan))
			continue
		}
		// Mappings are learned behind NAT (100), where the public port is known.
		cone := fmt.Sprintf("cone%d", i)
		maps = append(maps, fmt.Sprintf("map %s { type inet_service : ipv4_addr . inet_service; size 65535; flags dynamic, timeout; timeout %ds; }", cone, s.coneSeconds()))
		inward = append(inward, fmt.Sprintf("ip daddr %s meta l4proto udp dnat to udp dport map @%s", uplink.Address, cone))
		mapped = append(mapped, fmt.Sprintf("oifname %q meta l4proto udp ct direction original update @%s { udp sport : ct original ip saddr . ct original proto-src }", wan, cone))
		outward = append(outward, fmt.Sprintf("oifname %q masquerade", wan))
	}
	for _, uplink := range s.Uplinks {
		// Who comes back into the LAN by a public address comes from it (RFC 4787, REQ-9a).
		outward = append(outward, fmt.Sprintf("oifname %q ip saddr %s ct original ip daddr %s snat to %s", lanDevice, s.LAN, uplink.Address, uplink.Address))
	}
	return fmt.Sprintf(rulesText, lines(maps), lines(inward), lines(outward), lines(mapped), lanDevice)
}

// coneSeconds is how long a port takes UDP from anybody after the last packet that left by it: as long as the
// kernel remembers a flow.
func (s *Site) coneSeconds() int {
	if s.IdleSeconds > 0 {
		return s.IdleSeconds
	}
	return 120
}

func lines(rules []string) string {
	var text strings.Builder
	for _, rule := range rules {
		text.WriteString("\n\t\t" + rule)
	}
	return text.String()
}

// The router answers nobody from outside, not even that it does not.
const rulesText = `flush ruleset
table ip translation {%[1]s
	chain inward {
		type nat hook prerouting priority dstnat; policy accept;%[2]s
	}
	chain outward {
		type nat hook postrouting priority srcnat; policy accept;%[3]s
	}
	chain mapped {
		type filter hook postrouting priority 110; policy accept;%[4]s
	}
}
table ip wall {
	chain forward {
		type filter hook forward priority filter; policy drop;
		ct state invalid drop
		ct state established,related accept
		ct status dnat accept
		iifname %[5]q oifname "wan*" accept
	}
	chain input {
		type filter hook input priority filter; policy drop;
		iifname { "lo", %[5]q } accept
		ct state established,related accept
	}
}
`

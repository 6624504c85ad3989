package network

// ThreeEdges is what edges are made for: the sites a, b and c with the same LAN, each with an edge and a backend (at
// the same address, too), behind NAT of both kinds, and two hubs that everyone can reach. Each edge has two uplinks
// over wires that do nothing yet.
func ThreeEdges() *Topology {
	site := func(name string, first, second NAT) Site {
		uplink := func(nat NAT) Uplink { return Uplink{NAT: nat, Wire: &Wire{}} }
		return Site{Name: name, Hosts: []LANHost{{Name: "backend"}}, Uplinks: []Uplink{uplink(first), uplink(second)}}
	}
	return &Topology{
		Name:  "edges",
		Hosts: []PublicHost{{Name: "hub-1"}, {Name: "hub-2"}},
		Sites: []Site{
			site("a", EndpointIndependent, Symmetric),
			site("b", Symmetric, EndpointIndependent),
			site("c", Symmetric, Symmetric),
		},
	}
}

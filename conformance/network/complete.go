package network

import (
	"errors"
	"fmt"
	"net/netip"
	"regexp"
	"slices"
)

// complete checks a topology and fills in what it leaves open, into a copy. It does nothing to one that is
// complete.
func (t *Topology) complete() (*Topology, error) {
	if !validName.MatchString(t.Name) {
		return nil, fmt.Errorf("the lab's name %q: %s", t.Name, wantedName)
	}
	c := &Topology{Name: t.Name, Hosts: slices.Clone(t.Hosts), Sites: slices.Clone(t.Sites)}
	public, err := c.publicAddresses()
	if err != nil {
		return nil, err
	}
	names := names{"internet": true}
	for i := range c.Hosts {
		host := &c.Hosts[i]
		err := errors.Join(names.add(host.Name), host.Wire.check(), public.fill(&host.Address, hostNetwork))
		if err != nil {
			return nil, fmt.Errorf("host %s: %w", host.Name, err)
		}
	}
	for i := range c.Sites {
		site := &c.Sites[i]
		if err := errors.Join(names.add(site.Name), site.complete(public)); err != nil {
			return nil, fmt.Errorf("site %s: %w", site.Name, err)
		}
	}
	return c, nil
}

// publicAddresses are those that the topology asks for.
func (t *Topology) publicAddresses() (*pool, error) {
	wanted := []netip.Addr{routerOfInternet}
	for _, host := range t.Hosts {
		wanted = append(wanted, host.Address)
	}
	for _, site := range t.Sites {
		for _, uplink := range site.Uplinks {
			wanted = append(wanted, uplink.Address)
		}
	}
	public := newPool()
	for _, address := range wanted {
		if address.IsValid() && !isDocumentation(address) {
			return nil, fmt.Errorf("the public address %s is not one for documentation (RFC 5737)", address)
		}
		if err := public.use(address); err != nil {
			return nil, err
		}
	}
	return public, nil
}

func (s *Site) complete(public *pool) error {
	if !s.LAN.IsValid() {
		s.LAN = defaultLAN
	}
	if s.LAN != s.LAN.Masked() || !s.LAN.Addr().IsPrivate() || !s.LAN.Addr().Is4() || s.LAN.Bits() > smallestLAN {
		return fmt.Errorf("its LAN %s: want a private network of IPv4 like %s, not smaller than /%d", s.LAN, defaultLAN, smallestLAN)
	}
	if len(s.Uplinks) == 0 || s.IdleSeconds < 0 {
		return errors.New("it needs an uplink, and idleSeconds that are not negative")
	}
	s.Uplinks = slices.Clone(s.Uplinks)
	for i := range s.Uplinks {
		uplink := &s.Uplinks[i]
		if uplink.NAT != EndpointIndependent && uplink.NAT != Symmetric {
			return fmt.Errorf("nat %q: want %s or %s", uplink.NAT, EndpointIndependent, Symmetric)
		}
		if slices.Contains(uplink.Forward, 0) {
			return errors.New("port 0 cannot be forwarded")
		}
		if err := errors.Join(uplink.Wire.check(), public.fill(&uplink.Address, uplinkNetwork)); err != nil {
			return err
		}
	}
	return s.completeHosts()
}

func (s *Site) completeHosts() error {
	names := names{"router": true}
	own := newPool()
	if err := own.use(s.router()); err != nil {
		return err
	}
	for i := range s.Uplinks {
		if err := own.use(s.edge(i)); err != nil {
			return err
		}
	}
	s.Hosts = slices.Clone(s.Hosts)
	for _, host := range s.Hosts {
		if host.Address.IsValid() && !s.LAN.Contains(host.Address) {
			return fmt.Errorf("host %s: %s is not in %s", host.Name, host.Address, s.LAN)
		}
		if err := own.use(host.Address); err != nil {
			return fmt.Errorf("host %s: %w", host.Name, err)
		}
	}
	for i := range s.Hosts {
		host := &s.Hosts[i]
		if err := errors.Join(names.add(host.Name), own.fill(&host.Address, s.hostNetwork())); err != nil {
			return fmt.Errorf("host %s: %w", host.Name, err)
		}
	}
	return nil
}

func (w *Wire) check() error {
	if w == nil {
		return nil
	}
	return errors.Join(w.Up.Check(), w.Down.Check())
}

const wantedName = "want a letter, and up to 30 of a-z, 0-9 and - behind it"

var validName = regexp.MustCompile(`^[a-z][a-z0-9-]{0,30}$`)

// names that are in use.
type names map[string]bool

func (n names) add(name string) error {
	if !validName.MatchString(name) {
		return fmt.Errorf("the name %q: %s", name, wantedName)
	}
	if n[name] {
		return fmt.Errorf("the name %q is used already", name)
	}
	n[name] = true
	return nil
}

// Package checks are the tests of the lab itself: that its NATs, walls and wires do what they say.
package checks

import (
	"os"
	"slices"

	"selvedge.dev/conformance/checking"
	"selvedge.dev/conformance/network"
)

// limit is the patience with what must happen.
const limit = checking.Limit

// check is one of the tests.
type check struct {
	name string
	run  func(*trial)
}

// All checks. Those of NAT are made for both kinds.
func All() []checking.Check {
	var checks []check
	for _, nat := range []network.NAT{network.EndpointIndependent, network.Symmetric} {
		for _, one := range natChecks {
			checks = append(checks, check{string(nat) + ": " + one.name, func(t *trial) { one.run(t, nat) }})
		}
	}
	var all []checking.Check
	for _, one := range slices.Concat(checks, siteChecks, wireChecks) {
		all = append(all, checking.Check{Name: one.name, Run: func(t *checking.Trial) { one.run(&trial{t}) }})
	}
	return all
}

// trial is one run of a check.
type trial struct{ *checking.Trial }

// build makes a lab for the time of the check.
func (t *trial) build(topology *network.Topology) *network.Lab {
	lab, err := network.Build(topology, t.Directory)
	if err != nil {
		t.Errorf("%v", err)
		t.FailNow()
	}
	t.Later(lab.Close)
	return lab
}

// read gives a file, or nothing.
func read(file string) string {
	data, err := os.ReadFile(file)
	if err != nil {
		return ""
	}
	return string(data)
}

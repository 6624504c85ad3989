package peer

import (
	"os/exec"
	"path/filepath"

	"selvedge.dev/conformance/bench/machine"
)

// none stands for a proxy that is not there.
var none = &Peer{Name: "none", Title: "no proxy"}

// None is no proxy: what the load generator and the backend need by themselves.
func None() *Peer { return none }

// IsNone says that there is no proxy.
func (p *Peer) IsNone() bool { return p == none }

// startNone starts a process that does nothing, whose use can be read like a proxy's.
func startNone(setup *Setup) (*Running, error) {
	process, err := machine.Start(exec.Command("sleep", "infinity"), filepath.Join(setup.Directory, none.Name))
	if err != nil {
		return nil, err
	}
	return &Running{Process: process, stop: func() {}}, nil
}

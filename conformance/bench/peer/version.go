package peer

import (
	"fmt"
	"os/exec"
	"regexp"
)

var versionNumber = regexp.MustCompile(`\d+\.\d+\.\d+`)

// Version asks the peer's program for its version.
func (p *Peer) Version(setup *Setup) (string, error) {
	output, err := exec.Command(p.path(setup), p.version...).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%s: %w: %s", p.Name, err, output)
	}
	number := versionNumber.FindString(string(output))
	if number == "" {
		return "", fmt.Errorf("%s does not say its version: %s", p.Name, output)
	}
	return number, nil
}

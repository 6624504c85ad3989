package mesh

import (
	"errors"
	"fmt"
	"strings"
	"sync"

	"selvedge.dev/conformance/cluster"
)

// gateway is one of those that serve the cluster's Gateway, all with the same configuration: that of the edge, which goes straight to other
// edges, and those that come to it by mutual TLS as any client of the mesh does, Envoy and Selvedge.
type gateway struct {
	name string
	pod  *cluster.Pod
}

// edge is the gateway that is an edge.
func (s *Suite) edge() gateway { return s.gateways[0] }

func (g gateway) ask(path, edge string) (string, error) {
	return ask(g.pod.Address+":8080", path, edge)
}

// answers wants it to answer with a word.
func (g gateway) answers(path, edge, word string) func() error {
	return func() error {
		body, err := g.ask(path, edge)
		if err == nil && body != word {
			err = fmt.Errorf("%s answers instead of %s", body, word)
		}
		return err
	}
}

// each does something with all gateways at once, and tells what came of it by their names.
func (s *Suite) each(do func(gateway) (figure string, err error)) (string, error) {
	figures, failures := make([]string, len(s.gateways)), make([]error, len(s.gateways))
	var group sync.WaitGroup
	for i, one := range s.gateways {
		group.Go(func() {
			figure, err := do(one)
			figures[i] = one.name + " " + figure
			if err != nil {
				failures[i] = fmt.Errorf("%s: %w", one.name, err)
			}
		})
	}
	group.Wait()
	return strings.Join(figures, "; "), errors.Join(failures...)
}

// eachAnswers waits until all gateways answer with a word.
func (s *Suite) eachAnswers(path, edge, word string) error {
	_, err := s.each(func(one gateway) (string, error) {
		_, err := await(arriveLimit, one.answers(path, edge, word))
		return "", err
	})
	return err
}

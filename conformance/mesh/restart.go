package mesh

import (
	"context"
	"errors"
	"fmt"
	"syscall"
	"time"
)

// startAloneLimit bounds the start of a gateway that nobody tells what to serve. It is meant to take 1 s, on a machine that does nothing else.
const startAloneLimit = 5 * time.Second

// restart kills the edge's gateway while nobody answers who could tell it anything; it starts again with what it has kept.
func (s *Suite) restart(ctx context.Context) (string, error) {
	if err := s.eachAnswers("/", "b", "b"); err != nil {
		return "", err
	}
	// What this client needs can be had only while the API server is there.
	at, config, err := s.caller(ctx)
	if err != nil {
		return "", err
	}
	figure, err := s.restartAlone()
	if err != nil {
		return "", err
	}
	// With istiod its certificate comes back. The other gateways are asked only then: who is refused a few times leaves the edge out for longer
	// than anybody waits here, by the outlier detection of what is imported.
	if _, err := await(arriveLimit, func() error { return isB(mutual(at, config, ratingsAtB)()) }); err != nil {
		return "", fmt.Errorf("what is imported, called by mutual TLS: %w", err)
	}
	return figure, s.eachAnswers("/", "b", "b")
}

func (s *Suite) restartAlone() (figure string, err error) {
	for _, part := range []string{"apiserver", "istiod"} {
		resume, suspension := s.Cluster.Suspend(part)
		if suspension != nil {
			return "", suspension
		}
		defer func() { err = errors.Join(err, resume()) }()
	}
	imported, err := s.startAgain(s.answers("/", "b", "b"))
	if err != nil {
		return "", fmt.Errorf("what is imported: %w", err)
	}
	offered, err := s.startAgain(func() error {
		_, err := ask(fmt.Sprintf("127.0.0.1:%d", s.c.port), "/", "")
		return err
	})
	if err != nil {
		return "", fmt.Errorf("what is offered: %w", err)
	}
	hub := s.overlay.hub.PID()
	if err := syscall.Kill(hub, syscall.SIGSTOP); err != nil {
		return "", err
	}
	own, err := s.startAgain(func() error {
		_, err := s.ask("/details", "")
		return err
	})
	if err := errors.Join(err, syscall.Kill(hub, syscall.SIGCONT)); err != nil {
		return "", fmt.Errorf("what is here: %w", err)
	}
	again, err := await(arriveLimit, s.answers("/", "c", "c"))
	if err != nil {
		return "", fmt.Errorf("what is imported, when the hub is back: %w", err)
	}
	return fmt.Sprintf("imports %.2f s, offers %.2f s; without the hub what is here %.2f s, and imports %.2f s after it is back",
		imported.Seconds(), offered.Seconds(), own.Seconds(), again.Seconds()), nil
}

// startAgain kills the gateway, and says how long after that something is again as it should be.
func (s *Suite) startAgain(condition func() error) (time.Duration, error) {
	if err := s.edge().pod.Kill(); err != nil {
		return 0, err
	}
	return await(startAloneLimit, condition)
}

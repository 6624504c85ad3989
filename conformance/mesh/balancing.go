package mesh

import (
	"context"
	"fmt"
	"math"
	"sync"
	"time"
)

// ejection is how long reviews.shop.global leaves out who has failed (objects/gateway.yaml).
const ejection = 3 * time.Second

func (s *Suite) weights(context.Context) (string, error) {
	return s.each(func(one gateway) (string, error) {
		for _, word := range []string{"b", "c"} {
			if _, err := await(arriveLimit, one.answers("/", "", word)); err != nil {
				return "", err
			}
		}
		const requests = 1000
		counts := map[string]int{}
		for range requests {
			word, err := one.ask("/", "")
			if err != nil {
				return "", err
			}
			counts[word]++
		}
		// Four standard deviations of a draw.
		const share = 0.7
		allowed := 4 * math.Sqrt(requests*share*(1-share))
		if math.Abs(float64(counts["b"])-requests*share) > allowed || counts["b"]+counts["c"] != requests {
			return "", fmt.Errorf("%v of %d requests", counts, requests)
		}
		return fmt.Sprintf("%.1f and %.1f %% of 70 and 30", float64(counts["b"])/requests*100, float64(counts["c"])/requests*100), nil
	})
}

func (s *Suite) header(context.Context) (string, error) {
	return s.each(func(one gateway) (string, error) {
		for range 50 {
			for _, edge := range []string{"b", "c"} {
				if err := one.answers("/", edge, edge)(); err != nil {
					return "", err
				}
			}
		}
		return "100 of 100", nil
	})
}

func (s *Suite) http2(context.Context) (string, error) {
	const answer = "streams HTTP/2.0"
	return answer, s.eachAnswers("/streams", "", answer)
}

// retries asks for what fails at the first try.
func (s *Suite) retries(context.Context) (string, error) {
	const requests = 20
	before := s.behindB.tries.Load()
	figure, err := s.each(func(one gateway) (string, error) {
		for range requests {
			if err := one.answers("/again", "", "b")(); err != nil {
				return "", err
			}
		}
		return fmt.Sprintf("%d of %d", requests, requests), nil
	})
	tries, wanted := s.behindB.tries.Load()-before, int64(2*requests*len(s.gateways))
	if err == nil && tries != wanted {
		err = fmt.Errorf("%d tries in place of %d", tries, wanted)
	}
	return figure, err
}

// failing has edge b answer with 503: whoever is told so once asks edge c for a while.
func (s *Suite) failing(context.Context) (string, error) {
	if err := s.eachAnswers("/failing", "", "b"); err != nil {
		return "", err
	}
	s.behindB.isFailing.Store(true)
	defer s.behindB.isFailing.Store(false)
	figure, err := s.each(func(one gateway) (string, error) {
		// Envoy's main thread ejects while its workers go on.
		const requests, meanwhile = 50, 4
		started, failed := time.Now(), 0
		for range requests {
			switch word, err := one.ask("/failing", ""); {
			case err != nil:
				failed++
			case word != "c":
				return "", fmt.Errorf("%s answers instead of c", word)
			}
		}
		// It is tried again when its time is over.
		if most := (1 + meanwhile) * (1 + int(time.Since(started)/ejection)); failed < 1 || failed > most {
			return "", fmt.Errorf("%d of %d failed, in place of 1 to %d", failed, requests, most)
		}
		return fmt.Sprintf("%d of %d failed", failed, requests), nil
	})
	if err != nil {
		return figure, err
	}
	s.behindB.isFailing.Store(false)
	return figure, s.eachAnswers("/failing", "", "b")
}

// atOnce does something so many times at once, all of which must succeed.
func atOnce(times int, do func() error) error {
	failures := make(chan error, times)
	var group sync.WaitGroup
	for range times {
		group.Go(func() {
			if err := do(); err != nil {
				failures <- err
			}
		})
	}
	group.Wait()
	if len(failures) == 0 {
		return nil
	}
	return fmt.Errorf("%d of %d failed, one of them: %w", len(failures), times, <-failures)
}

// killed kills edge b as a machine ends that loses its power, and starts it again.
func (s *Suite) killed(context.Context) (string, error) {
	const requests = 30
	if _, err := s.each(func(one gateway) (string, error) {
		isNearest := one.answers("/nearest", "", "b")
		_, err := await(arriveLimit, func() error {
			for range requests {
				if err := isNearest(); err != nil {
					return err
				}
			}
			return nil
		})
		return "", err
	}); err != nil {
		return "", err
	}
	s.b.process.Kill()
	figure, err := s.each(func(one gateway) (string, error) {
		var slowest time.Duration
		for range requests {
			started := time.Now()
			if err := one.answers("/nearest", "", "c")(); err != nil {
				return "", err
			}
			slowest = max(slowest, time.Since(started))
		}
		// As Istio has all routes do, what has no connection is tried again elsewhere. Here nobody was connected to before.
		if err := atOnce(requests, one.answers("/carts", "", "c")); err != nil {
			return "", fmt.Errorf("by the retries that are Istio's default: %w", err)
		}
		return fmt.Sprintf("0 of %d failed, the slowest took %.2f s", 2*requests, slowest.Seconds()), nil
	})
	if err != nil {
		return figure, err
	}
	if err := s.overlay.run(&s.b); err != nil {
		return "", err
	}
	if err := s.eachAnswers("/nearest", "", "b"); err != nil {
		return "", err
	}
	return figure, s.eachAnswers("/", "b", "b")
}

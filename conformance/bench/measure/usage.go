package measure

import (
	"fmt"
	"net"
	"time"

	"selvedge.dev/conformance/bench/backend"
	"selvedge.dev/conformance/bench/machine"
)

const (
	// quiet is how many cores others may use when a run starts.
	quiet = 0.25
	// patience is how long a run waits for that.
	patience = 6 * time.Second
	// quietWindow is over how long the use is taken.
	quietWindow = 200 * time.Millisecond
	// spoiled is how many cores others may use before a run is repeated.
	spoiled = 0.6
	// repeats is how often.
	repeats = 2
	// clean is how many cores others may use in a run that counts if there are two such runs.
	clean = 0.3
)

// usage is what has been used up to a moment.
type usage struct {
	at             time.Time
	cores          []time.Duration
	proxy, backend time.Duration
}

func usageNow(proxy int, backends []int) (usage, error) {
	var u usage
	var err error
	if u.cores, err = machine.CoreTime(); err != nil {
		return u, err
	}
	if u.proxy, err = machine.ProcessTime(proxy); err != nil {
		return u, err
	}
	for _, backend := range backends {
		used, err := machine.ProcessTime(backend)
		if err != nil {
			return u, err
		}
		u.backend += used
	}
	u.at = time.Now()
	return u, nil
}

func (u usage) total() time.Duration {
	var total time.Duration
	for _, core := range u.cores {
		total += core
	}
	return total
}

// core is one core's time, or the mean of all.
func (u usage) core(number int) time.Duration {
	if number == machine.AnyCore {
		return u.total() / time.Duration(len(u.cores))
	}
	return u.cores[number]
}

func (u usage) ours() time.Duration { return u.proxy + u.backend }

// share is a part of an elapsed time; clocks of different grain can make it slightly negative.
func share(used, elapsed time.Duration) float64 {
	return max(0, used.Seconds()/elapsed.Seconds())
}

// awaitQuiet waits until the machine has hardly anything else to do, but not for ever.
func awaitQuiet() error {
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); {
		before, err := machine.CoreTime()
		if err != nil {
			return err
		}
		time.Sleep(quietWindow)
		after, err := machine.CoreTime()
		if err != nil {
			return err
		}
		if busy := (usage{cores: after}).total() - (usage{cores: before}).total(); share(busy, quietWindow) < quiet {
			return nil
		}
	}
	return nil
}

func backendAnswers() error { return listens(backend.Source) }

func listens(port int) error {
	connection, err := net.DialTimeout("tcp", fmt.Sprintf("127.0.0.1:%d", port), time.Second)
	if err != nil {
		return err
	}
	return connection.Close()
}

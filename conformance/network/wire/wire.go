// Package wire joins two network namespaces by a link in user space, with delay, jitter, loss, reordering,
// duplicates, a rate with a queue before it, and partitions, all of which may change while it runs. It is here
// because kernels without netem cannot do that.
//
// A wire is a TUN device in each namespace and a thread for each direction, which waits by ppoll without timer
// slack: with nothing else to do a packet leaves within tens of microseconds of its time, and no core is spent on
// waiting. Counters.Latest says how it was. Where it does not matter what a packet is, what the kernel has put together
// of several goes through in one piece.
package wire

import (
	"errors"
	"fmt"
	"runtime"
	"sync"

	"selvedge.dev/conformance/network/namespace"
)

// End is where a wire ends: a device, which the wire makes.
type End struct {
	Namespace *namespace.Namespace
	Device    string
}

// Direction of a wire.
type Direction int

// The directions, as seen from the first end: Up leads away from it, Down to it.
const (
	Up Direction = iota
	Down
)

func (d Direction) String() string { return [...]string{"up", "down"}[d] }

// Wire is a link between two namespaces.
type Wire struct {
	devices    [2]*tun
	directions [2]*direction
}

// Connect makes a wire. Its devices are up and have no addresses.
func Connect(first, second End, up, down Conditions) (*Wire, error) {
	w := &Wire{}
	processors.add(2)
	for i, end := range []End{first, second} {
		device, err := openTUN(end.Namespace, end.Device)
		if err != nil {
			return nil, errors.Join(err, w.Close())
		}
		w.devices[i] = device
	}
	for i, conditions := range []Conditions{up, down} {
		direction, err := newDirection(w.devices[i], w.devices[1-i], conditions)
		if err != nil {
			return nil, errors.Join(fmt.Errorf("%s: %w", Direction(i), err), w.Close())
		}
		w.directions[i] = direction
	}
	return w, nil
}

// Set changes the conditions of a direction. What is on the way arrives as it would have, but not into a partition.
func (w *Wire) Set(direction Direction, conditions Conditions) error {
	if err := w.directions[direction].set(conditions); err != nil {
		return fmt.Errorf("%s: %w", direction, err)
	}
	return nil
}

// Partition cuts both directions or repairs them, and leaves the other conditions as they are.
func (w *Wire) Partition(cut bool) error {
	var failures []error
	for _, direction := range []Direction{Up, Down} {
		conditions := w.Conditions(direction)
		conditions.Partition = cut
		failures = append(failures, w.Set(direction, conditions))
	}
	return errors.Join(failures...)
}

// Conditions of a direction.
func (w *Wire) Conditions(direction Direction) Conditions {
	conditions, _ := w.directions[direction].state()
	return conditions
}

// Counters of a direction.
func (w *Wire) Counters(direction Direction) Counters {
	_, counters := w.directions[direction].state()
	return counters
}

// Close takes the wire away, its devices too, and says if it had ended before.
func (w *Wire) Close() error {
	var failures []error
	for _, direction := range w.directions {
		if direction != nil {
			failures = append(failures, direction.close())
		}
	}
	for _, device := range w.devices {
		if device != nil {
			failures = append(failures, device.close())
		}
	}
	processors.add(-2)
	return errors.Join(failures...)
}

// processors counts the threads of all wires. One that waits in the kernel gives its processor, as Go calls the
// right to run, to others, and would have to wait for one that is free when it wakes up. So there is one more for
// each, and who runs when is left to the kernel, which knows of priorities.
var processors processorCount

type processorCount struct{ mutex sync.Mutex }

func (p *processorCount) add(count int) {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	runtime.GOMAXPROCS(runtime.GOMAXPROCS(0) + count)
}

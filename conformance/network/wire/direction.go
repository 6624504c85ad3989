package wire

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// batch is how many packets are read before those that must leave are looked after again.
	batch = 32
	// mostHeld bytes of buffers are on the way: half a second at 1 Gbit/s. What comes beyond is dropped.
	mostHeld = 64 << 20
	// niceness of the threads: a wire that waits for a core is a worse wire.
	niceness = -15
)

// direction carries packets from one device to the other, on a thread of its own.
type direction struct {
	from, to *tun
	start    time.Time
	// stop is an event that ends the thread, ended says that it has ended and failure why, if nobody stopped it.
	stop    int
	ended   chan struct{}
	failure error

	// setting is held while conditions change, and guards joined: what the device was told.
	setting sync.Mutex
	joined  bool

	// mutex guards what follows. The thread gives it away only while it waits.
	mutex     sync.Mutex
	schedule  schedule
	onTheWay  departures
	heldBytes int
	buffers   buffers
	read      []byte
}

func newDirection(from, to *tun, conditions Conditions) (*direction, error) {
	stop, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		return nil, fmt.Errorf("eventfd: %w", err)
	}
	d := &direction{from: from, to: to, start: time.Now(), stop: stop, ended: make(chan struct{}), read: make([]byte, headSize+largestJoined)}
	d.schedule.random = rand.New(rand.NewPCG(rand.Uint64(), rand.Uint64()))
	if err := d.set(conditions); err != nil {
		return nil, errors.Join(err, unix.Close(stop))
	}
	go d.run()
	return d, nil
}

// set changes the conditions. When it returns, nothing leaves under the old ones but what was on the way, and
// not even that into a partition.
func (d *direction) set(conditions Conditions) error {
	if err := conditions.Check(); err != nil {
		return err
	}
	d.setting.Lock()
	defer d.setting.Unlock()
	// The kernel may take its time for this: packets go on meanwhile. Those in its queue stay as they are.
	if joined := !conditions.isOfPackets(); joined != d.joined {
		if err := d.from.join(joined); err != nil {
			return err
		}
		d.joined = joined
	}
	d.mutex.Lock()
	defer d.mutex.Unlock()
	d.schedule.Conditions = conditions
	if conditions.Partition {
		for _, found := d.onTheWay.first(); found; _, found = d.onTheWay.first() {
			d.release(d.onTheWay.take())
			d.schedule.Cut++
		}
	}
	return nil
}

func (d *direction) state() (Conditions, Counters) {
	d.mutex.Lock()
	defer d.mutex.Unlock()
	return d.schedule.Conditions, d.schedule.Counters
}

// close ends the thread and says what has gone wrong with it.
func (d *direction) close() error {
	_, err := unix.Write(d.stop, []byte{1, 0, 0, 0, 0, 0, 0, 0})
	<-d.ended
	return errors.Join(err, d.failure, unix.Close(d.stop))
}

func (d *direction) run() {
	defer close(d.ended)
	runtime.LockOSThread() // Never unlocked: the thread ends with its settings.
	if err := prefer(); err != nil {
		d.failure = err
		return
	}
	for {
		more, pause, err := d.turn()
		stopped := false
		if err == nil && !more {
			stopped, err = d.from.wait(pause, d.stop)
		}
		if err != nil || stopped {
			d.failure = err
			return
		}
	}
}

// prefer makes waiting exact: the kernel may be 50 microseconds late otherwise, and favours others.
func prefer() error {
	return errors.Join(
		unix.Prctl(unix.PR_SET_TIMERSLACK, 1, 0, 0, 0),
		unix.Setpriority(unix.PRIO_PROCESS, unix.Gettid(), niceness),
	)
}

// turn takes what has come and sends what must leave. It says whether there is more to take, or else how long
// nothing must leave: negative if nothing is on the way.
func (d *direction) turn() (more bool, pause time.Duration, err error) {
	d.mutex.Lock()
	defer d.mutex.Unlock()
	for range batch {
		if more, err = d.takeOne(); err != nil || !more {
			break
		}
	}
	now := time.Since(d.start)
	for {
		departure, found := d.onTheWay.first()
		if !found {
			return more, -1, err
		}
		if departure > now {
			if now = time.Since(d.start); departure > now {
				return more, departure - now, err
			}
		}
		d.schedule.Latest = max(d.schedule.Latest, now-departure)
		packet := d.onTheWay.take()
		d.send(packet)
		d.release(packet)
	}
}

// takeOne reads a packet and decides on it.
func (d *direction) takeOne() (found bool, err error) {
	length, found, err := d.from.read(d.read)
	if err != nil || !found {
		return false, err
	}
	now := time.Since(d.start)
	departure, copies := d.schedule.take(now, length-headSize)
	for range copies {
		d.hold(now, departure, d.read[:length])
	}
	return true, nil
}

// hold keeps a packet until its departure, which may have come.
func (d *direction) hold(now, departure time.Duration, packet []byte) {
	switch {
	case departure <= now && len(d.onTheWay.heap) == 0:
		d.send(packet)
	case d.heldBytes >= mostHeld:
		d.schedule.Dropped++
	default:
		held := append(d.buffers.take(len(packet)), packet...)
		d.heldBytes += cap(held)
		d.onTheWay.add(departure, held)
	}
}

// release a packet that was held.
func (d *direction) release(packet []byte) {
	d.heldBytes -= cap(packet)
	d.buffers.give(packet)
}

func (d *direction) send(packet []byte) {
	if err := d.to.write(packet); err != nil {
		d.schedule.Refused++
		return
	}
	d.schedule.Sent++
	d.schedule.SentBytes += int64(len(packet) - headSize)
}

package wire

import (
	"math/rand/v2"
	"time"
)

// Counters of a direction, of packets since the wire was made. Packets of TCP that the kernel has put together count
// as one, where nothing depends on what a packet is: see Conditions.isOfPackets.
type Counters struct {
	// Sent left the direction at its other end, copies included.
	Sent int64
	// SentBytes is how long these were.
	SentBytes int64
	// Lost were lost by Loss, Dropped because the queue was full, Cut by a partition.
	Lost, Dropped, Cut int64
	// Duplicated and HeldBack arrived, twice and late.
	Duplicated, HeldBack int64
	// Refused were to leave, and the device would not take them.
	Refused int64
	// Latest is how long after its time a packet was sent, at worst: the error of all that the wire does.
	Latest time.Duration
}

// schedule decides when packets leave a direction, without a clock: times are counted from when the wire was made.
type schedule struct {
	Conditions
	Counters
	random *rand.Rand
	// free is when the line has taken what it has.
	free time.Duration
	// newest departure, which none may come before that is not to be overtaken.
	newest time.Duration
	wander wander
}

// take says when a packet that comes now leaves, and how often: never, once or twice.
func (s *schedule) take(now time.Duration, size int) (departure time.Duration, copies int) {
	if s.Partition {
		s.Cut++
		return 0, 0
	}
	onLine, room := s.queueFor(now, size)
	if !room {
		s.Dropped++
		return 0, 0
	}
	if s.chance(s.Loss) {
		s.Lost++
		return 0, 0
	}
	departure = max(onLine+s.Delay+s.wander.at(onLine, s.Jitter, s.random), s.newest)
	if s.chance(s.Reorder) {
		s.Counters.HeldBack++
		departure += s.Conditions.HeldBack
	} else {
		s.newest = departure
	}
	copies = 1
	if s.chance(s.Duplicate) {
		s.Duplicated++
		copies = 2
	}
	return departure, copies
}

// queueFor says when the packet is on the line as a whole, or that there is no room to wait for that.
func (s *schedule) queueFor(now time.Duration, size int) (onLine time.Duration, room bool) {
	if s.Rate == 0 {
		return now, true
	}
	begins := max(now, s.free)
	waiting := (begins - now).Seconds() * float64(s.Rate) / 8
	if waiting+float64(size) > float64(s.queue()) {
		return 0, false
	}
	s.free = begins + time.Duration(float64(size)*8/float64(s.Rate)*float64(time.Second))
	return s.free, true
}

// chance is true with a probability; for what is certain, nothing is drawn.
func (s *schedule) chance(probability float64) bool {
	return probability > 0 && s.random.Float64() < probability
}

// wander is a delay that goes to and fro between random points, in a straight line from each to the next. They
// are so far apart that it never shrinks faster than time goes by: packets keep their order.
type wander struct {
	from, to float64 // -1 to 1
	begins   time.Duration
}

// pointsApart is the time between two points for each unit of jitter: the delay changes by half as much at most.
const pointsApart = 4

func (w *wander) at(now, jitter time.Duration, random *rand.Rand) time.Duration {
	if jitter == 0 {
		return 0
	}
	apart := pointsApart * jitter
	for now >= w.begins+apart {
		if now >= w.begins+2*apart {
			// Nothing came for a while, or the jitter is new.
			w.begins, w.to = now-apart, 2*random.Float64()-1
		}
		w.begins += apart
		w.from, w.to = w.to, 2*random.Float64()-1
	}
	part := float64(now-w.begins) / float64(apart)
	return time.Duration((w.from + (w.to-w.from)*part) * float64(jitter))
}

package wire

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

const packets = 1_000_000

func newSchedule(c Conditions) *schedule {
	return &schedule{Conditions: c, random: rand.New(rand.NewPCG(1, 2))}
}

// run gives a schedule packets at equal distances and returns when each of those that leave does so.
func run(s *schedule, count int, apart time.Duration, size int) (sent, left []time.Duration) {
	for i := range count {
		now := time.Duration(i) * apart
		if departure, copies := s.take(now, size); copies > 0 {
			sent, left = append(sent, now), append(left, departure)
		}
	}
	return sent, left
}

func TestNothingIsDoneWithoutConditions(t *testing.T) {
	sent, left := run(newSchedule(Conditions{}), 1000, time.Microsecond, 1500)
	require.Len(t, sent, 1000)
	require.Equal(t, sent, left)
}

func TestDelay(t *testing.T) {
	sent, left := run(newSchedule(Conditions{Delay: 20 * time.Millisecond}), 1000, time.Microsecond, 1500)
	for i := range sent {
		require.Equal(t, sent[i]+20*time.Millisecond, left[i])
	}
}

func TestShares(t *testing.T) {
	for _, share := range []float64{0.001, 0.01, 0.3} {
		s := newSchedule(Conditions{Loss: share, Duplicate: share, Reorder: share, HeldBack: 10 * time.Millisecond})
		sent, left := run(s, packets, time.Millisecond, 100)
		arrived := float64(len(sent))
		require.InDelta(t, share, float64(s.Lost)/packets, 0.002)
		require.InDelta(t, packets-arrived, s.Lost, 0)
		require.InDelta(t, share, float64(s.Duplicated)/arrived, 0.002)
		require.InDelta(t, share, float64(overtaken(left))/arrived, 0.002)
	}
}

// overtaken counts packets that arrive behind one that was sent after them: the reordered ones of RFC 4737, 3.3.
func overtaken(left []time.Duration) (count int) {
	order := make([]int, len(left))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return int(left[a] - left[b]) })
	next := 0
	for _, i := range order {
		if i < next {
			count++
		}
		next = max(next, i+1)
	}
	return count
}

func TestJitterKeepsOrderAndBoundsAndMiddle(t *testing.T) {
	conditions := Conditions{Delay: 20 * time.Millisecond, Jitter: 4 * time.Millisecond}
	sent, left := run(newSchedule(conditions), packets, 50*time.Microsecond, 100)
	var sum, squares float64
	for i := range sent {
		// Package require takes its time, a million times.
		off := (left[i] - sent[i] - conditions.Delay).Seconds() * 1000
		if math.Abs(off) > 4 || i > 0 && left[i] <= left[i-1] {
			t.Fatalf("packet %d is %v ms off", i, off)
		}
		sum, squares = sum+off, squares+off*off
	}
	require.InDelta(t, 0, sum/packets, 0.2)
	// Of two points between -4 and 4, and of all between them: 16/3 for the points, two thirds of that.
	require.InDelta(t, 16.0/3*2/3, squares/packets, 0.3)
}

func TestJitterBehindSilence(t *testing.T) {
	s := newSchedule(Conditions{Delay: 4 * time.Millisecond, Jitter: 4 * time.Millisecond})
	values := map[time.Duration]bool{}
	for i := range 100 {
		now := time.Duration(i*i) * time.Second
		departure, _ := s.take(now, 100)
		values[departure-now] = true
	}
	require.Greater(t, len(values), 90, "the delay must not stand still")
}

func TestRateAndQueue(t *testing.T) {
	// 1,250 bytes take a millisecond at 10 Mbit/s, and come ten times as fast.
	s := newSchedule(Conditions{Rate: 10_000_000, Queue: 12_500})
	sent, left := run(s, 10_000, 100*time.Microsecond, 1250)
	require.InDelta(t, 1000+10, len(left), 2, "what the line takes in a second, and what waits")
	require.EqualValues(t, 10_000-len(left), s.Dropped)
	for i := 1; i < len(left); i++ {
		require.Equal(t, time.Millisecond, left[i]-left[i-1])
		require.LessOrEqual(t, left[i]-sent[i], 10*time.Millisecond, "more than the queue waits")
	}
	// A line that is idle sends a packet at once.
	departure, _ := s.take(time.Hour, 1250)
	require.Equal(t, time.Hour+time.Millisecond, departure)
}

func TestDefaultQueue(t *testing.T) {
	require.Equal(t, 10*largestPacket, (&Conditions{Rate: 1000}).queue())
	require.Equal(t, 625_000, (&Conditions{Rate: 100_000_000}).queue())
}

func TestPartition(t *testing.T) {
	s := newSchedule(Conditions{Partition: true, Delay: time.Second})
	_, left := run(s, 100, time.Millisecond, 100)
	require.Empty(t, left)
	require.EqualValues(t, 100, s.Cut)
}

func TestShorterDelayDoesNotOvertake(t *testing.T) {
	s := newSchedule(Conditions{Delay: 20 * time.Millisecond})
	first, _ := s.take(0, 100)
	s.Conditions = Conditions{}
	second, _ := s.take(time.Millisecond, 100)
	require.GreaterOrEqual(t, second, first)
}

func TestDeparturesLeaveInOrder(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	var d departures
	var wanted []held
	for i := range 5000 {
		departure := time.Duration(random.IntN(500))
		packet := []byte{byte(i >> 8), byte(i)}
		d.add(departure, packet)
		wanted = append(wanted, held{departure, int64(i), packet})
	}
	slices.SortStableFunc(wanted, func(a, b held) int { return int(a.departure - b.departure) })
	for _, one := range wanted {
		departure, found := d.first()
		require.True(t, found)
		require.Equal(t, one.departure, departure)
		require.Equal(t, one.packet, d.take())
	}
	_, found := d.first()
	require.False(t, found)
}

func TestBuffersAreUsedAgain(t *testing.T) {
	var b buffers
	for _, length := range []int{1, headSize + largestPacket, headSize + largestPacket + 1, headSize + largestJoined} {
		buffer := b.take(length)
		require.Empty(t, buffer)
		require.GreaterOrEqual(t, cap(buffer), length)
		b.give(append(buffer, make([]byte, length)...))
	}
	require.Len(t, b.small, 1)
	require.Len(t, b.large, 1)
}

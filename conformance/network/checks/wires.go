package checks

import (
	"math"
	"math/rand/v2"
	"net"
	"slices"
	"time"

	"github.com/stretchr/testify/require"

	"selvedge.dev/conformance/network/namespace"
	"selvedge.dev/conformance/network/wire"
)

var wireChecks = []check{
	{"a wire is accurate", accuracy},
	{"a rate is accurate", rateOfPackets},
	{"what a wire carries", throughput},
}

const (
	probes = 10_000
	// spacing of probes on each wire.
	spacing = 500 * time.Microsecond
	// tolerated errors of times and, in percentage points, of shares.
	toleratedTime   = time.Millisecond
	toleratedPoints = 0.5
)

// accuracy sends probes over four wires in turns and compares them with the one that does nothing, and that one with
// a link of the kernel: whatever the machine does to all of them is not the wires' error.
func accuracy(t *trial) {
	near, far := t.namespace("near"), t.namespace("far")
	connect := func(index int, c wire.Conditions) *probed { return t.connectProbed(near, far, index, c) }
	idle := connect(0, wire.Conditions{})
	delayed := connect(1, wire.Conditions{Delay: 20 * time.Millisecond})
	wandering := connect(2, wire.Conditions{Delay: 20 * time.Millisecond, Jitter: 4 * time.Millisecond})
	broken := connect(3, wire.Conditions{Loss: 0.01, Duplicate: 0.01, Reorder: 0.01, HeldBack: 10 * time.Millisecond})
	kernel := t.connectKernel(near, far, 4)
	all := []*probed{kernel, idle, delayed, wandering, broken}
	started := time.Now()
	for i := range probes {
		time.Sleep(time.Until(started.Add(time.Duration(i) * spacing)))
		for _, one := range all {
			require.NoError(t, one.send(uint32(i)))
		}
	}
	for _, one := range all {
		t.Await("all probes arrive", one.complete)
		require.NoError(t, one.failure())
	}
	t.compareDelays(idle, kernel, constant(0))
	t.compareDelays(delayed, idle, constant(20*time.Millisecond))
	t.compareDelays(wandering, idle, jittered(20*time.Millisecond, 4*time.Millisecond))
	for _, whole := range []*probed{kernel, idle, delayed, wandering} {
		require.Equal(t, result{arrived: probes}, whole.result())
	}
	got := broken.result()
	arrived := float64(got.arrived)
	t.compareShares("loss", 1, 100*(probes-arrived)/probes)
	t.compareShares("duplicate", 1, 100*float64(got.twice)/arrived)
	t.compareShares("reorder", 1, 100*float64(got.overtaken)/arrived)
	for _, one := range []*probed{delayed, wandering, broken} {
		t.Figure("%s: a packet was sent %.3f ms after its time at worst", one.name, milliseconds(one.wire.Counters(wire.Up).Latest))
	}
}

func (t *trial) namespace(name string) *namespace.Namespace {
	n, err := namespace.New(name)
	require.NoError(t, err)
	t.Later(n.Close)
	return n
}

func constant(value time.Duration) func(float64) time.Duration {
	return func(float64) time.Duration { return value }
}

// jittered is the distribution that the documentation of wires promises: between two random points, anywhere.
func jittered(delay, jitter time.Duration) func(float64) time.Duration {
	random := rand.New(rand.NewPCG(1, 2))
	samples := make([]time.Duration, 100_000)
	for i := range samples {
		part := random.Float64()
		offset := (2*random.Float64()-1)*part + (2*random.Float64()-1)*(1-part)
		samples[i] = delay + time.Duration(offset*float64(jitter))
	}
	slices.Sort(samples)
	return func(q float64) time.Duration { return quantile(samples, q) }
}

func quantile(sorted []time.Duration, q float64) time.Duration {
	return sorted[int(q*float64(len(sorted)-1))]
}

// compareDelays compares what a wire adds to the delay of another link with what it should, at three quantiles. A
// machine under load spreads the other's delays too, and so much more is tolerated.
func (t *trial) compareDelays(one, other *probed, wanted func(q float64) time.Duration) {
	delays, base := one.delays(), other.delays()
	spread := quantile(base, 0.9) - quantile(base, 0.1)
	for _, q := range []float64{0.1, 0.5, 0.9} {
		added := quantile(delays, q) - quantile(base, q)
		off := added - wanted(q)
		t.Figure("%s beside %s: %.0f %% of packets take up to %.3f ms more, %+.3f ms off", one.name, other.name, 100*q, milliseconds(added), milliseconds(off))
		require.LessOrEqual(t, off.Abs(), toleratedTime+spread, "%s: the delay that %.0f %% have is %s off", one.name, 100*q, off)
	}
}

func milliseconds(d time.Duration) float64 { return d.Seconds() * 1000 }

func (t *trial) compareShares(name string, wanted, got float64) {
	t.Figure("%s=%v%%: %.2f %%", name, wanted, got)
	require.InDelta(t, wanted, got, toleratedPoints, name)
}

// rateOfPackets keeps a line busy for a second and compares what it carries in that with its rate.
func rateOfPackets(t *trial) {
	const rate, count = 20_000_000, 2000
	near, far := t.namespace("near"), t.namespace("far")
	limited := t.connectProbed(near, far, 0, wire.Conditions{Rate: rate, Queue: 10 << 20})
	limited.padding = 1200
	for i := range uint32(count) {
		require.NoError(t, limited.send(i))
		if i%50 == 49 {
			time.Sleep(time.Millisecond) // The device's queue is bounded, too.
		}
	}
	t.Await("all packets arrive", limited.complete)
	require.Equal(t, result{arrived: count}, limited.result())
	arrivals := limited.arrivals()
	bits := float64((count - 1) * 8 * limited.packetSize())
	reached := bits / arrivals[count-1].Sub(arrivals[0]).Seconds()
	t.Figure("%.3f Mbit/s at a rate of %d Mbit/s", reached/1e6, rate/1_000_000)
	require.LessOrEqual(t, 100*math.Abs(reached-rate)/rate, toleratedPoints)
}

// throughput shows what a wire without conditions carries beside a link of the kernel. That it is about as much is
// because what the kernel has put together goes through in one piece.
func throughput(t *trial) {
	near, far := t.namespace("near"), t.namespace("far")
	idle, kernel := t.connectProbed(near, far, 0, wire.Conditions{}), t.connectKernel(near, far, 1)
	limited := t.connectProbed(near, far, 2, wire.Conditions{Rate: 1_000_000_000})
	for _, one := range []*probed{idle, kernel, limited} {
		listener, err := far.Listen(on(one.to.Addr(), otherPort))
		require.NoError(t, err)
		t.Later(listener.Close)
		t.Figure("%s: %.0f Mbit/s by TCP", one.name, t.stream(near, listener, 1500*time.Millisecond)/1e6)
	}
	require.Greater(t, packetSize(idle.wire.Counters(wire.Up)), 1500.0)
	require.LessOrEqual(t, packetSize(limited.wire.Counters(wire.Up)), 1500.0)
}

// packetSize is the mean of what was sent.
func packetSize(c wire.Counters) float64 { return float64(c.SentBytes) / float64(c.Sent) }

// stream sends as fast as it goes for a while and returns the bits that arrived in a second.
func (t *trial) stream(from *namespace.Namespace, listener net.Listener, duration time.Duration) float64 {
	connection, err := from.Dial(&net.Dialer{Timeout: limit}, listener.Addr().String())
	require.NoError(t, err)
	receiver, err := listener.Accept()
	require.NoError(t, err)
	defer func() { _ = receiver.Close() }()
	go func() {
		defer func() { _ = connection.Close() }()
		data := make([]byte, 1<<17)
		for end := time.Now().Add(duration); time.Now().Before(end); {
			if _, err := connection.Write(data); err != nil {
				return
			}
		}
	}()
	buffer := make([]byte, 1<<17)
	received, started := 0, time.Now()
	for {
		length, err := receiver.Read(buffer)
		received += length
		if err != nil {
			break
		}
	}
	require.Positive(t, received)
	return float64(received) * 8 / time.Since(started).Seconds()
}

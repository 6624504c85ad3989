package checks

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"selvedge.dev/conformance/network/namespace"
	"selvedge.dev/conformance/network/wire"
)

// A probe is a number and the time at which it was sent, in nanoseconds of the machine's clock.
const probeSize = 4 + 8

// headSize is that of IPv4 and UDP.
const headSize = 20 + 8

// probed is a link with probes on it, all in one direction.
type probed struct {
	name string
	// wire is nothing if it is a link of the kernel.
	wire     *wire.Wire
	sender   *net.UDPConn
	receiver *net.UDPConn
	to       netip.AddrPort
	// padding makes packets longer.
	padding int
	sent    int64

	mutex    sync.Mutex
	received []arrival
	err      error
}

// arrival of a probe. The kernel says when, so that it does not matter when this program gets to it.
type arrival struct {
	number     uint32
	sent, came time.Time
}

// connectProbed makes the wire of an index between two namespaces, with addresses of its own.
func (t *trial) connectProbed(near, far *namespace.Namespace, index int, conditions wire.Conditions) *probed {
	device := fmt.Sprintf("wire%d", index)
	w, err := wire.Connect(wire.End{Namespace: near, Device: device}, wire.End{Namespace: far, Device: device}, conditions, wire.Conditions{})
	require.NoError(t, err)
	t.Later(w.Close)
	p := &probed{name: "an idle wire", wire: w}
	if conditions != (wire.Conditions{}) {
		p.name = conditions.String()
	}
	t.probe(p, near, far, device, index)
	return p
}

// connectKernel makes a link of the kernel, which does not take up more time than it must.
func (t *trial) connectKernel(near, far *namespace.Namespace, index int) *probed {
	device := fmt.Sprintf("kernel%d", index)
	require.NoError(t, errors.Join(
		near.IP(fmt.Sprintf("link add %s type veth peer name %s netns %s", device, device, far.Path()), "link set "+device+" up"),
		far.IP("link set "+device+" up"),
	))
	p := &probed{name: "a link of the kernel"}
	t.probe(p, near, far, device, index)
	return p
}

// probe gives a link the addresses of its index, and opens the ends of what is sent on it.
func (t *trial) probe(p *probed, near, far *namespace.Namespace, device string, index int) {
	from, to := netip.AddrFrom4([4]byte{192, 0, 2, byte(2 * index)}), netip.AddrFrom4([4]byte{192, 0, 2, byte(2*index + 1)})
	require.NoError(t, errors.Join(
		near.IP(fmt.Sprintf("addr add %s/31 dev %s", from, device)),
		far.IP(fmt.Sprintf("addr add %s/31 dev %s", to, device)),
	))
	p.to = addressAndPort(to, port)
	var err error
	p.receiver, err = far.ListenUDP(p.to.String())
	require.NoError(t, err)
	t.Later(p.receiver.Close)
	p.sender, err = near.ListenUDP(on(from, port))
	require.NoError(t, err)
	t.Later(p.sender.Close)
	require.NoError(t, p.prepare())
	go p.receive()
}

// prepare lets the kernel keep all packets, and say when they came.
func (p *probed) prepare() error {
	raw, err := p.receiver.SyscallConn()
	if err != nil {
		return err
	}
	var failure error
	err = raw.Control(func(socket uintptr) {
		failure = errors.Join(
			unix.SetsockoptInt(int(socket), unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 64<<20),
			unix.SetsockoptInt(int(socket), unix.SOL_SOCKET, unix.SO_TIMESTAMPNS, 1),
		)
	})
	return errors.Join(err, failure)
}

func (p *probed) send(number uint32) error {
	packet := make([]byte, probeSize+p.padding)
	binary.BigEndian.PutUint32(packet, number)
	binary.BigEndian.PutUint64(packet[4:], uint64(time.Now().UnixNano()))
	_, err := p.sender.WriteToUDPAddrPort(packet, p.to)
	p.sent++
	return err
}

func (p *probed) packetSize() int { return headSize + probeSize + p.padding }

// receive notes what comes, until the socket is closed.
func (p *probed) receive() {
	packet, control := make([]byte, 2048), make([]byte, 256)
	for {
		length, controlLength, _, _, err := p.receiver.ReadMsgUDPAddrPort(packet, control)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		var came time.Time
		if err == nil {
			came, err = timestamp(control[:controlLength])
		}
		if err == nil && length < probeSize {
			err = fmt.Errorf("a packet of %d bytes", length)
		}
		p.mutex.Lock()
		if err == nil {
			sent := time.Unix(0, int64(binary.BigEndian.Uint64(packet[4:])))
			p.received = append(p.received, arrival{binary.BigEndian.Uint32(packet), sent, came})
		}
		p.err = errors.Join(p.err, err)
		p.mutex.Unlock()
		if err != nil {
			return
		}
	}
}

// timestamp is when the kernel got a packet.
func timestamp(control []byte) (time.Time, error) {
	messages, err := unix.ParseSocketControlMessage(control)
	if err != nil {
		return time.Time{}, err
	}
	for _, message := range messages {
		if message.Header.Level == unix.SOL_SOCKET && message.Header.Type == unix.SCM_TIMESTAMPNS && len(message.Data) >= 16 {
			seconds, nanoseconds := binary.NativeEndian.Uint64(message.Data), binary.NativeEndian.Uint64(message.Data[8:])
			return time.Unix(int64(seconds), int64(nanoseconds)), nil
		}
	}
	return time.Time{}, errors.New("a packet without a time")
}

func (p *probed) failure() error {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	return p.err
}

// complete says that nothing is on the way any more: the wire has had all probes, and what it sent was received.
func (p *probed) complete() bool {
	counters := wire.Counters{Sent: p.sent}
	if p.wire != nil {
		counters = p.wire.Counters(wire.Up)
	}
	p.mutex.Lock()
	defer p.mutex.Unlock()
	return counters.Sent+counters.Lost+counters.Dropped-counters.Duplicated == p.sent && int64(len(p.received)) == counters.Sent || p.err != nil
}

// result of probes: how many arrived, of these how many twice and how many behind a later one (RFC 4737, 3.3).
type result struct{ arrived, twice, overtaken int }

func (p *probed) result() (r result) {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	known := map[uint32]bool{}
	next := uint32(0)
	for _, one := range p.received {
		if known[one.number] {
			r.twice++
			continue
		}
		known[one.number] = true
		r.arrived++
		if one.number < next {
			r.overtaken++
		}
		next = max(next, one.number+1)
	}
	return r
}

// delays of all that arrived, sorted.
func (p *probed) delays() []time.Duration {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	var delays []time.Duration
	for _, one := range p.received {
		delays = append(delays, one.came.Sub(one.sent))
	}
	slices.Sort(delays)
	return delays
}

// arrivals in their order.
func (p *probed) arrivals() []time.Time {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	var times []time.Time
	for _, one := range p.received {
		times = append(times, one.came)
	}
	return times
}

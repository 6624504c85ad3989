package wire

import "time"

// held is a packet on its way.
type held struct {
	departure time.Duration
	// number keeps packets of one departure in their order.
	number int64
	packet []byte
}

func (h *held) before(other *held) bool {
	if h.departure != other.departure {
		return h.departure < other.departure
	}
	return h.number < other.number
}

// departures is a binary heap of packets. It is not container/heap, which allocates for each element.
type departures struct {
	heap   []held
	number int64
}

func (d *departures) add(departure time.Duration, packet []byte) {
	d.number++
	d.heap = append(d.heap, held{departure, d.number, packet})
	for child := len(d.heap) - 1; child > 0; {
		parent := (child - 1) / 2
		if !d.heap[child].before(&d.heap[parent]) {
			return
		}
		d.heap[child], d.heap[parent] = d.heap[parent], d.heap[child]
		child = parent
	}
}

// first departure, if there is one.
func (d *departures) first() (departure time.Duration, found bool) {
	if len(d.heap) == 0 {
		return 0, false
	}
	return d.heap[0].departure, true
}

// take removes the packet that leaves first.
func (d *departures) take() []byte {
	packet := d.heap[0].packet
	last := len(d.heap) - 1
	d.heap[0] = d.heap[last]
	d.heap[last].packet = nil
	d.heap = d.heap[:last]
	for parent := 0; ; {
		child := 2*parent + 1
		if child >= last {
			return packet
		}
		if child+1 < last && d.heap[child+1].before(&d.heap[child]) {
			child++
		}
		if !d.heap[child].before(&d.heap[parent]) {
			return packet
		}
		d.heap[child], d.heap[parent] = d.heap[parent], d.heap[child]
		parent = child
	}
}

// buffers for packets, to be used again: most packets are small, and those that the kernel has put together large.
type buffers struct{ small, large [][]byte }

// take gives an empty buffer with room for a packet.
func (b *buffers) take(length int) []byte {
	unused, size := &b.small, headSize+largestPacket
	if length > size {
		unused, size = &b.large, headSize+largestJoined
	}
	last := len(*unused) - 1
	if last < 0 {
		return make([]byte, 0, size)
	}
	buffer := (*unused)[last]
	*unused = (*unused)[:last]
	return buffer[:0]
}

// give takes one back.
func (b *buffers) give(buffer []byte) {
	if cap(buffer) > headSize+largestPacket {
		b.large = append(b.large, buffer)
	} else {
		b.small = append(b.small, buffer)
	}
}

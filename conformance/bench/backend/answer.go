package backend

import (
	"bytes"
	"encoding/binary"
)

// answer is what every request on an HTTP/2 port gets.
type answer struct {
	// wanted are header fields that a request has, and what their values begin with.
	wanted map[string]string
	// size of the body.
	size int
	// first carries fields that the client enters into its table, known refers to them; the others are for
	// clients without a table, and tell them so first.
	first, known, unindexedFirst, unindexed template
}

// field of a header in the four ways in which HPACK (RFC 7541, section 6) is used here.
type field struct {
	// static is the index of the name in the static table, or 0.
	static      int
	name, value string
	// dynamic is the index of the field in the table once an answer has been sent.
	dynamic byte
}

// template is the frames of one answer with room for the number of the stream.
type template struct {
	frames []byte
	// streams are the places of that number.
	streams []int
}

// append adds the frames for a stream.
func (t template) append(to []byte, stream uint32) []byte {
	start := len(to)
	to = append(to, t.frames...)
	for _, place := range t.streams {
		binary.BigEndian.PutUint32(to[start+place:], stream)
	}
	return to
}

func (t *template) add(kind, flags byte, payload []byte) {
	t.streams = append(t.streams, len(t.frames)+5)
	t.frames = appendFrame(t.frames, kind, flags, 0, payload)
}

const (
	// status200 is the static table's index, as a whole field.
	status200 = 0x88
	// emptyTable tells a decoder that the encoder keeps no table.
	emptyTable = 0x20
)

var http2Answers = map[int]*answer{
	// The message has 100 bytes behind a flag and its length.
	GRPC: newAnswer(
		map[string]string{":method": "POST", ":path": "/bench.Responder/", "content-type": "application/grpc", "te": "trailers"},
		[]field{{31, "", "application/grpc", 63}},
		append([]byte{0, 0, 0, 0, 100}, bytes.Repeat([]byte("x"), 100)...),
		[]field{{0, "grpc-status", "0", 62}},
	),
	HTTP2: newAnswer(
		map[string]string{":method": "GET", ":path": "/http2/"},
		[]field{{31, "", "text/plain", 63}, {28, "", "1024", 62}},
		bytes.Repeat([]byte("x"), 1<<10),
		nil,
	),
}

func newAnswer(wanted map[string]string, header []field, body []byte, trailers []field) *answer {
	learn := func(f field) []byte { return f.literal(0x40, 6) }
	refer := func(f field) []byte { return []byte{0x80 | f.dynamic} }
	whole := func(f field) []byte { return f.literal(0, 4) }
	frames := func(start []byte, encode func(field) []byte) (t template) {
		block := append(start, status200)
		for _, f := range header {
			block = append(block, encode(f)...)
		}
		t.add(frameHeaders, flagEndHeaders, block)
		if trailers == nil {
			t.add(frameData, flagEndStream, body)
			return t
		}
		t.add(frameData, 0, body)
		block = nil
		for _, f := range trailers {
			block = append(block, encode(f)...)
		}
		t.add(frameHeaders, flagEndHeaders|flagEndStream, block)
		return t
	}
	return &answer{
		wanted: wanted, size: len(body),
		first: frames(nil, learn), known: frames(nil, refer),
		unindexedFirst: frames([]byte{emptyTable}, whole), unindexed: frames(nil, whole),
	}
}

// literal writes the field with its value, behind a pattern that leaves so many bits for the name's index.
func (f field) literal(pattern byte, bits int) []byte {
	most := 1<<bits - 1
	var out []byte
	if f.static < most {
		out = append(out, pattern|byte(f.static))
	} else {
		out = append(out, pattern|byte(most), byte(f.static-most))
	}
	if f.static == 0 {
		out = append(out, byte(len(f.name)))
		out = append(out, f.name...)
	}
	out = append(out, byte(len(f.value)))
	return append(out, f.value...)
}

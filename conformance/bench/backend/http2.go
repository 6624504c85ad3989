package backend

import (
	"encoding/binary"
	"strings"

	"golang.org/x/net/http2/hpack"
)

// Frames, flags and settings of HTTP/2 (RFC 9113, sections 6 and 6.5.2).
const (
	frameData         = 0x0
	frameHeaders      = 0x1
	frameSettings     = 0x4
	framePing         = 0x6
	frameWindowUpdate = 0x8

	flagAcknowledge = 0x1
	flagEndStream   = 0x1
	flagEndHeaders  = 0x4
	flagPadded      = 0x8
	flagPriority    = 0x20

	settingTableSize     = 0x1
	settingInitialWindow = 0x4

	frameHead        = 9
	defaultWindow    = 65535
	defaultTableSize = 4096
	longestFrame     = 16384

	preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
)

// replenish is after how many bytes of bodies the client gets them back as window.
const replenish = 16 << 10

// streams is the server's side of one HTTP/2 connection. It answers every request in the same way and
// looks only at the first one's header: decoding more would make the backend the limit.
type streams struct {
	answer *answer
	// begun says that the client's preface has come.
	begun bool
	// checked says that a request has been looked at.
	checked bool
	// answered says that the client knows the header fields of the answer.
	answered bool
	// unindexed says that the client keeps a smaller table than the default, so that fields are sent whole.
	unindexed bool
	// partial is the beginning of a frame.
	partial []byte
	// reply is what is sent at the end of a turn.
	reply []byte
	// window is how much the client lets us send, and waiting are the requests that need more.
	window  int
	waiting []uint32
	// received is what has come since the client got its window back.
	received int
}

// receive takes what has arrived and returns what is to be sent; that is valid until the next call.
// False ends the connection.
func (s *streams) receive(data []byte) (reply []byte, alive bool) {
	s.reply = s.reply[:0]
	if len(s.partial) > 0 {
		data = append(s.partial, data...)
		s.partial = nil
	}
	if !s.begun {
		if len(data) < len(preface) {
			s.partial = append([]byte(nil), data...)
			return nil, true
		}
		if string(data[:len(preface)]) != preface {
			return nil, false
		}
		data = data[len(preface):]
		s.begun = true
		s.frame(frameSettings, 0, 0, nil)
	}
	for len(data) >= frameHead {
		length := int(data[0])<<16 | int(data[1])<<8 | int(data[2])
		if length > longestFrame {
			return s.reply, false
		}
		if len(data) < frameHead+length {
			break
		}
		if !s.take(data[3], data[4], binary.BigEndian.Uint32(data[5:]), data[frameHead:frameHead+length]) {
			return s.reply, false
		}
		data = data[frameHead+length:]
	}
	if len(data) > 0 {
		s.partial = append([]byte(nil), data...)
	}
	return s.reply, true
}

// take acts on one frame; false ends the connection.
func (s *streams) take(kind, flags byte, stream uint32, payload []byte) bool {
	switch kind {
	case frameSettings:
		if flags&flagAcknowledge == 0 {
			s.frame(frameSettings, flagAcknowledge, 0, nil)
			return s.settings(payload)
		}
	case framePing:
		if flags&flagAcknowledge == 0 {
			s.frame(framePing, flagAcknowledge, 0, payload)
		}
	case frameWindowUpdate:
		if stream == 0 && len(payload) == 4 {
			s.window += int(binary.BigEndian.Uint32(payload) & 0x7fffffff)
			s.resume()
		}
	case frameHeaders:
		if flags&flagEndHeaders == 0 || !s.check(flags, payload) {
			return false
		}
		if flags&flagEndStream != 0 {
			s.respond(stream)
		}
	case frameData:
		if s.received += len(payload); s.received >= replenish {
			s.frame(frameWindowUpdate, 0, 0, binary.BigEndian.AppendUint32(nil, uint32(s.received)))
			s.received = 0
		}
		if flags&flagEndStream != 0 {
			s.respond(stream)
		}
	}
	return true
}

// settings refuses a client that could not take a whole answer at once.
func (s *streams) settings(payload []byte) bool {
	for ; len(payload) >= 6; payload = payload[6:] {
		value := int(binary.BigEndian.Uint32(payload[2:]))
		switch binary.BigEndian.Uint16(payload) {
		case settingTableSize:
			s.unindexed = value < defaultTableSize
		case settingInitialWindow:
			if value < s.answer.size {
				return false
			}
		}
	}
	return true
}

// check looks at the first request's header.
func (s *streams) check(flags byte, block []byte) bool {
	if s.checked {
		return true
	}
	s.checked = true
	padding := 0
	if flags&flagPadded != 0 && len(block) > 0 {
		padding, block = int(block[0]), block[1:]
	}
	if flags&flagPriority != 0 && len(block) >= 5 {
		block = block[5:]
	}
	if padding > len(block) {
		return false
	}
	fields, err := hpack.NewDecoder(defaultTableSize, nil).DecodeFull(block[:len(block)-padding])
	if err != nil {
		return false
	}
	values := map[string]string{}
	for _, field := range fields {
		values[field.Name] = field.Value
	}
	for name, prefix := range s.answer.wanted {
		if !strings.HasPrefix(values[name], prefix) {
			return false
		}
	}
	return true
}

func (s *streams) respond(stream uint32) {
	s.waiting = append(s.waiting, stream)
	s.resume()
}

// resume answers as many requests as the window allows.
func (s *streams) resume() {
	for len(s.waiting) > 0 && s.window >= s.answer.size {
		s.window -= s.answer.size
		frames := s.answer.known
		switch {
		case !s.answered && s.unindexed:
			frames = s.answer.unindexedFirst
		case s.unindexed:
			frames = s.answer.unindexed
		case !s.answered:
			frames = s.answer.first
		}
		s.answered = true
		s.reply = frames.append(s.reply, s.waiting[0])
		s.waiting = s.waiting[1:]
	}
}

func (s *streams) frame(kind, flags byte, stream uint32, payload []byte) {
	s.reply = appendFrame(s.reply, kind, flags, stream, payload)
}

func appendFrame(to []byte, kind, flags byte, stream uint32, payload []byte) []byte {
	to = append(to, byte(len(payload)>>16), byte(len(payload)>>8), byte(len(payload)), kind, flags)
	return append(binary.BigEndian.AppendUint32(to, stream), payload...)
}

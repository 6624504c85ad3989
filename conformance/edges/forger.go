package edges

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"encoding/binary"
	"net"
	"path/filepath"
	"time"

	"github.com/stretchr/testify/require"
	"selvedge.dev/conformance/network"
)

// forger is a node that was let in and tells a hub what it likes. It has as much of the overlay's protocol of its own as that takes.
type forger struct {
	overlay     *overlay
	place       *network.Place
	certificate tls.Certificate
}

// Frames of a link (overlay/wire/src/frame.rs), and what begins a stream of announcements.
const (
	frameHello      = 0x00
	framePing       = 0x01
	framePong       = 0x02
	frameStream     = 0x08
	frameStreamFin  = 0x09
	frameMaxStreams = 0x12
	frameClose      = 0x1c

	announce = 1
)

// What a hello says.
const protocolVersion, firstWorker = 1, 0

var catalogue = []byte{0x10, 0x00}

// Streams that the two sides open first.
const ownStream, hubStream = 0, 1

// record is what an edge announces, as it goes over links.
type record struct{ certificate, signature, payload []byte }

// forger joins with a folder of its own.
func (o *overlay) forger(place *network.Place, tenant, name string) *forger {
	directory := filepath.Join(o.Directory, name)
	o.join(place, o.token("--tenant", tenant, "--edge", name), directory)
	certificate, err := tls.LoadX509KeyPair(filepath.Join(directory, "certificate.pem"), filepath.Join(directory, "key.pem"))
	require.NoError(o, err)
	return &forger{o, place, certificate}
}

// sign says that the owner of a certificate announces something, whether or not it is the forger's own.
func (f *forger) sign(certificate, payload []byte) record {
	key, is := f.certificate.PrivateKey.(*ecdsa.PrivateKey)
	require.True(f.overlay, is)
	digest := sha256.Sum256(append([]byte("selvedge announcement 1\x00"), payload...))
	signature, err := ecdsa.SignASN1(rand.Reader, key, digest[:])
	require.NoError(f.overlay, err)
	return record{certificate, signature, payload}
}

func (f *forger) own() []byte { return f.certificate.Certificate[0] }

// line is a link to a hub, on which both tell what they know.
type line struct {
	net.Conn
	received, told []byte
}

func (f *forger) dial(h *hub) *line {
	socket, err := f.place.Dial(&net.Dialer{Timeout: patience}, h.address())
	require.NoError(f.overlay, err)
	config := &tls.Config{Certificates: []tls.Certificate{f.certificate}, NextProtos: []string{"selvedge/1"}, MinVersion: tls.VersionTLS13, InsecureSkipVerify: true}
	l := &line{Conn: tls.Client(socket, config)}
	require.NoError(f.overlay, l.SetDeadline(time.Now().Add(patience)))
	l.send(f.overlay, frameHello, append(integer(protocolVersion), integer(firstWorker)...))
	l.send(f.overlay, frameMaxStreams, integer(16))
	l.send(f.overlay, frameStream, append(integer(ownStream), catalogue...))
	return l
}

// tell sends a record.
func (l *line) tell(t require.TestingT, r record) {
	var content []byte
	for _, part := range [][]byte{r.certificate, r.signature} {
		content = append(append(content, integer(len(part))...), part...)
	}
	content = append(content, r.payload...)
	message := append(append(integer(announce), integer(len(content))...), content...)
	l.send(t, frameStream, append(integer(ownStream), message...))
}

func (l *line) send(t require.TestingT, kind int, content []byte) {
	_, err := l.Write(append(append(integer(kind), integer(len(content))...), content...))
	require.NoError(t, err)
}

// refused returns when the hub has closed the link, because of what it was told.
func (l *line) refused(t require.TestingT) {
	for {
		kind, content := l.next(t)
		if kind == frameClose {
			require.Contains(t, string(content), "announcements are not taken")
			return
		}
	}
}

// record of an edge, the next that the hub tells of.
func (l *line) record(t require.TestingT, name string) record {
	for {
		if r, is := l.takeRecord(); is {
			if identity, err := identityOf(r.certificate); err == nil && filepath.Base(identity) == name {
				return r
			}
			continue
		}
		kind, content := l.next(t)
		if stream, rest := take(content); stream == hubStream && (kind == frameStream || kind == frameStreamFin) {
			l.told = append(l.told, rest...)
		}
	}
}

// takeRecord takes the first message that has been told, if all of it is there; what is no record is passed over.
func (l *line) takeRecord() (record, bool) {
	l.told = bytes.TrimPrefix(l.told, catalogue)
	for {
		kind, rest := take(l.told)
		content, rest, is := takePart(rest)
		if !is {
			return record{}, false
		}
		l.told = rest
		if kind != announce {
			continue
		}
		certificate, content, _ := takePart(content)
		signature, payload, _ := takePart(content)
		return record{bytes.Clone(certificate), bytes.Clone(signature), bytes.Clone(payload)}, true
	}
}

// next is the next frame; pings are answered.
func (l *line) next(t require.TestingT) (int, []byte) {
	for {
		kind, rest := take(l.received)
		content, rest, is := takePart(rest)
		if !is {
			piece := make([]byte, 64*1024)
			count, err := l.Read(piece)
			if count == 0 {
				require.NoError(t, err, "the hub has ended the link")
			}
			l.received = append(l.received, piece[:count]...)
			continue
		}
		l.received = rest
		if kind == framePing {
			l.send(t, framePong, content)
			continue
		}
		return kind, content
	}
}

// integer as RFC 9000 section 16 has it.
func integer(value int) []byte {
	switch {
	case value < 1<<6:
		return []byte{byte(value)}
	case value < 1<<14:
		return binary.BigEndian.AppendUint16(nil, uint16(value)|1<<14)
	default:
		return binary.BigEndian.AppendUint32(nil, uint32(value)|1<<31)
	}
}

// take is the integer at the beginning, and what is behind it: -1 and nothing if it is cut off.
func take(data []byte) (int, []byte) {
	if len(data) == 0 || len(data) < 1<<(data[0]>>6) {
		return -1, nil
	}
	length := 1 << (data[0] >> 6)
	value := int(data[0] & 0x3f)
	for _, one := range data[1:length] {
		value = value<<8 | int(one)
	}
	return value, data[length:]
}

// takePart is what lies behind its length, and what follows.
func takePart(data []byte) (part, rest []byte, is bool) {
	length, rest := take(data)
	if length < 0 || len(rest) < length {
		return nil, nil, false
	}
	return rest[:length], rest[length:], true
}

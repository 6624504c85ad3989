package h2

import (
	"bytes"
	"errors"
	"net"
	"reflect"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"
)

const limit = 5 * time.Second

// pair connects a client with a server that serves each stream with handle.
func pair(t *testing.T, handle func(*Stream)) *Connection {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		defer func() { _ = conn.Close() }()
		server := Server(conn, conn)
		if ReadPreface(conn) == nil && server.Open() == nil {
			_ = server.Run(handle)
		}
	}()
	conn, err := net.Dial("tcp", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(); _ = listener.Close() })
	// What is stuck ends with the connection.
	if err := conn.SetDeadline(time.Now().Add(limit)); err != nil {
		t.Fatal(err)
	}
	client := Client(conn, conn)
	if err := client.Open(); err != nil {
		t.Fatal(err)
	}
	go func() { _ = client.Run(nil) }()
	return client
}

func next(t *testing.T, stream *Stream) Event {
	t.Helper()
	event, ok := stream.Next(limit)
	if !ok {
		t.Fatal("nothing came")
	}
	return event
}

// fields is a head with a field that takes several frames.
func fields() []Field {
	return []Field{{":method", "GET"}, {"X-Upper", " as it is "}, {"x-long", strings.Repeat("x", 3*frameSize)}}
}

func TestFieldsArriveAsTheyAreTold(t *testing.T) {
	seen := make(chan Event, 1)
	client := pair(t, func(stream *Stream) {
		event, _ := stream.Next(limit)
		seen <- event
	})
	if err := client.NewStream().Send(fields(), true); err != nil {
		t.Fatal(err)
	}
	event := Event{Kind: Ended}
	select {
	case event = <-seen:
	case <-time.After(limit):
	}
	if event.Kind != Head || !event.End || !reflect.DeepEqual(event.Fields, fields()) {
		t.Errorf("%+.300v", event)
	}
}

func TestABodyIsSentAsWindowsPermit(t *testing.T) {
	body := bytes.Repeat([]byte("0123456789"), 3*receiveWindow/10)
	client := pair(t, func(stream *Stream) {
		var got []byte
		for {
			event, ok := stream.Next(limit)
			if !ok || event.Kind > Data {
				return
			}
			got = append(got, event.Data...)
			if event.End {
				_ = stream.SendData(got, true)
				return
			}
		}
	})
	stream := client.NewStream()
	if err := stream.Send(nil, false); err != nil {
		t.Fatal(err)
	}
	if err := stream.SendData(body, true); err != nil {
		t.Fatal(err)
	}
	var got []byte
	for end := false; !end; {
		event := next(t, stream)
		got, end = append(got, event.Data...), event.End
	}
	if !bytes.Equal(got, body) {
		t.Errorf("%d bytes came back, want %d", len(got), len(body))
	}
}

func TestAStreamSaysHowItEnded(t *testing.T) {
	cases := map[string]struct {
		serve func(*Connection, *Stream)
		want  func(Event) bool
	}{
		"a reset":                {func(_ *Connection, s *Stream) { _ = s.SendReset(http2.ErrCodeRefusedStream) }, func(e Event) bool { return e.Kind == Reset && e.Code == http2.ErrCodeRefusedStream }},
		"a GOAWAY that excludes": {func(_ *Connection, s *Stream) { _ = s.GoAway(http2.ErrCodeNo, false) }, func(e Event) bool { return e.Kind == Ended && e.GoAway != nil && e.GoAway.Last < 3 }},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			client := pair(t, func(s *Stream) { c.serve(s.connection, s) })
			_ = client.NewStream() // so that a GOAWAY can exclude the second
			stream := client.NewStream()
			if err := stream.Send(fields(), true); err != nil {
				t.Fatal(err)
			}
			if event := next(t, stream); !c.want(event) {
				t.Errorf("%+v", event)
			}
		})
	}
}

func TestTheOwnResetEndsAStream(t *testing.T) {
	stream := pair(t, func(*Stream) {}).NewStream()
	if err := stream.SendReset(http2.ErrCodeCancel); err != nil {
		t.Fatal(err)
	}
	if event := next(t, stream); event.Kind != Abandoned {
		t.Errorf("%+v", event)
	}
	if err := stream.SendData([]byte("more"), false); err == nil {
		t.Error("data behind a reset")
	}
}

func TestLinesAreFields(t *testing.T) {
	for line, want := range map[string]Field{
		"a: b":               {"a", "b"},
		"a:  b ":             {"a", " b "},
		":path: /a:b":        {":path", "/a:b"},
		":authority: h.test": {":authority", "h.test"},
		"alone":              {"alone", ""},
		" : x":               {" ", "x"},
		"a:":                 {"a", ""},
	} {
		if got := ParseLine(line); got != want {
			t.Errorf("%q: %q, want %q", line, got, want)
		}
	}
}

func TestStreamOfAnEndedConnectionSaysWhatEndedIt(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		if conn, err := listener.Accept(); err == nil {
			_, _ = conn.Write([]byte("HTTP/1.1 400 Bad Request\r\n\r\n"))
		}
	}()
	conn, err := net.Dial("tcp", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	client := Client(conn, conn)
	if err := client.Run(nil); !errors.Is(err, http2.ErrFrameTooLarge) {
		t.Fatal(err)
	}
	if event := next(t, client.NewStream()); event.Kind != Ended || !errors.Is(event.Err, http2.ErrFrameTooLarge) {
		t.Errorf("%+v", event)
	}
}

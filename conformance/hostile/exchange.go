package hostile

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"selvedge.dev/conformance/gateways"
	"selvedge.dev/conformance/hostile/recorder"
	"selvedge.dev/conformance/hostile/strict"
)

const (
	// answerLimit bounds the wait for whatever a gateway does next.
	answerLimit = 5 * time.Second
	// pieceSize divides messages that are too long to be sent byte by byte.
	pieceSize, longestInBytes = 997, 4096
)

// delivery is how a message and the next request behind it are put on the wire.
type delivery string

const (
	atOnce   delivery = "at once"      // in one piece with the next request
	inPieces delivery = "in pieces"    // byte by byte, the next request behind it
	alone    delivery = "alone"        // the next request follows the answer
	ending   delivery = "then the end" // no next request: the client closes its side
)

const (
	nextTarget    = "/next"
	barrierTarget = "/barrier"
	nextRequest   = "GET " + nextTarget + " HTTP/1.1\r\nHost: " + gateways.Host + "\r\n\r\n"
)

// outcome is what came of one message.
type outcome struct {
	// interim are 1xx responses, finals the others, without the one to the next request.
	interim, finals []*strict.Response
	// nextAnswered says that the next request got its own answer.
	nextAnswered bool
	// reset says that the gateway or the client gave up the stream of the message, in HTTP/2.
	reset bool
	// closed says that the gateway ended the connection.
	closed bool
	// garbled says that what came had no single meaning.
	garbled bool
	// faults are what a client could read in two ways, or waited for in vain.
	faults []string
	// record is what reached the backend.
	record recorder.Record
}

// message is what is sent to a gateway.
type message struct {
	bytes string
	// methods are those of its requests.
	methods []string
}

// exchange sends a message to a gateway's port and returns what came of it.
func exchange(port int, backend *recorder.Recorder, message message, how delivery) (*outcome, error) {
	connection, err := net.Dial("tcp", gateways.Address(port))
	if err != nil {
		return nil, err
	}
	defer func() { _ = connection.Close() }()
	if err := connection.SetDeadline(time.Now().Add(answerLimit)); err != nil {
		return nil, err
	}
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		send(connection, message.bytes, how)
	}()
	o := &outcome{}
	o.read(connection, message, how)
	_ = connection.Close()
	<-sent
	if err := barrier(port, gateways.Host); err != nil {
		o.faults = append(o.faults, err.Error())
	}
	o.record = withoutBarrier(backend.Take())
	return o, nil
}

// send ignores errors: a gateway that refuses a message need not read it.
func send(connection net.Conn, bytes string, how delivery) {
	size := len(bytes)
	switch how {
	case atOnce:
		bytes += nextRequest
		size = len(bytes)
	case inPieces:
		bytes += nextRequest
		size = 1
		if len(bytes) > longestInBytes {
			size = pieceSize
		}
	}
	for len(bytes) > 0 {
		piece := bytes[:min(size, len(bytes))]
		if _, err := io.WriteString(connection, piece); err != nil {
			return
		}
		bytes = bytes[len(piece):]
	}
	if tcp, ok := connection.(*net.TCPConn); ok && how == ending {
		_ = tcp.CloseWrite()
	}
}

// read takes responses until the next request is answered or the connection ends.
func (o *outcome) read(connection net.Conn, message message, how delivery) {
	reader := bufio.NewReader(connection)
	for {
		response, err := strict.ReadResponse(reader, o.method(message.methods))
		if err != nil {
			o.end(response, err)
			return
		}
		switch {
		case response.Status < 200 && response.Status != 101:
			o.interim = append(o.interim, response)
			continue
		case response.Body == "GET "+nextTarget:
			o.nextAnswered = true
			return
		}
		o.finals = append(o.finals, response)
		if response.UntilClose {
			o.closed = true
			return
		}
		if how == alone && (len(o.finals) == len(message.methods) || response.Status >= 400) {
			_, _ = io.WriteString(connection, nextRequest)
		}
	}
}

// method is that of the request whose answer comes next.
func (o *outcome) method(methods []string) string {
	if n := len(o.finals); n < len(methods) {
		return methods[n]
	}
	return "GET"
}

// end notes why no further response came.
func (o *outcome) end(response *strict.Response, err error) {
	var ambiguity *strict.Ambiguity
	var timeout net.Error
	switch {
	case errors.As(err, &ambiguity):
		o.garbled = true
		o.faults = append(o.faults, "reached the client: "+ambiguity.What)
	case errors.As(err, &timeout) && timeout.Timeout():
		o.faults = append(o.faults, "the gateway neither answers nor closes")
	default:
		o.closed = true
	}
	if response != nil {
		o.finals = append(o.finals, response)
	}
}

// barrier returns once a gateway with one worker has dealt with everything that came before, and says
// whether a request on another connection gets its own answer.
func barrier(port int, host string) error {
	connection, err := net.Dial("tcp", gateways.Address(port))
	if err != nil {
		return err
	}
	defer func() { _ = connection.Close() }()
	if err := connection.SetDeadline(time.Now().Add(answerLimit)); err != nil {
		return err
	}
	if _, err := io.WriteString(connection, "GET "+barrierTarget+" HTTP/1.1\r\nHost: "+host+"\r\n\r\n"); err != nil {
		return err
	}
	response, err := strict.ReadResponse(bufio.NewReader(connection), "GET")
	if err != nil {
		return fmt.Errorf("another client's request: %w", err)
	}
	if response.Status != 200 || response.Body != "GET "+barrierTarget {
		return fmt.Errorf("another client's request got %d %.100q", response.Status, response.Body)
	}
	return nil
}

func withoutBarrier(record recorder.Record) recorder.Record {
	var requests []*strict.Request
	for _, request := range record.Requests {
		if request.Target != barrierTarget {
			requests = append(requests, request)
		}
	}
	record.Requests = requests
	return record
}

package load

import (
	"fmt"
	"io"
	"net"
	"time"
)

const bulkChunk = 256 << 10

// upload writes as fast as the proxy takes it. Units are bytes.
func upload(job Job) Result {
	return overTCP(job, net.Conn.Write)
}

// download reads as fast as the proxy gives it. Units are bytes.
func download(job Job) Result {
	return overTCP(job, net.Conn.Read)
}

// overTCP repeats a step with a buffer on every connection, adding up its bytes.
func overTCP(job Job, step func(net.Conn, []byte) (int, error)) Result {
	return inParallel(job, func(end time.Time, _ int) Result {
		var result Result
		connection, err := net.DialTimeout("tcp", fmt.Sprintf("127.0.0.1:%d", job.Port), longestWait)
		if err != nil {
			result.fail(err)
			return result
		}
		defer func() { _ = connection.Close() }()
		data := make([]byte, bulkChunk)
		for now := time.Now(); now.Before(end); now = time.Now() {
			if err := connection.SetDeadline(now.Add(longestWait)); err != nil {
				result.fail(err)
				return result
			}
			n, err := step(connection, data)
			result.Units += float64(n)
			if err != nil {
				result.fail(err)
				return result
			}
		}
		return result
	})
}

// roundTrips sends one byte and waits for it to come back, on one connection.
func roundTrips(job Job) Result {
	var result Result
	connection, err := net.DialTimeout("tcp", fmt.Sprintf("127.0.0.1:%d", job.Port), longestWait)
	if err != nil {
		result.fail(err)
		return result
	}
	defer func() { _ = connection.Close() }()
	var times []time.Duration
	sent, received := []byte{0}, []byte{0}
	end := time.Now().Add(job.Duration)
	if err := connection.SetDeadline(end.Add(longestWait)); err != nil {
		result.fail(err)
		return result
	}
	for now := time.Now(); now.Before(end); {
		sent[0]++
		if err := roundTrip(connection, sent, received); err != nil {
			result.fail(err)
			return result
		}
		after := time.Now()
		times = append(times, after.Sub(now))
		now = after
	}
	result.Units = float64(len(times))
	result.percentiles(times)
	return result
}

func roundTrip(connection net.Conn, sent, received []byte) error {
	if _, err := connection.Write(sent); err != nil {
		return err
	}
	if _, err := io.ReadFull(connection, received); err != nil {
		return err
	}
	if received[0] != sent[0] {
		return fmt.Errorf("byte %d came back as %d", sent[0], received[0])
	}
	return nil
}

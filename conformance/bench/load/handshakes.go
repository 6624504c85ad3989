package load

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"net"
	"time"
)

// TLSConfig is what the generators offer: TLS 1.3, one key exchange, no resumption. The certificate is
// not checked: the client's work is not what is measured.
func TLSConfig() *tls.Config {
	return &tls.Config{
		ServerName:         Host,
		InsecureSkipVerify: true,
		MinVersion:         tls.VersionTLS13,
		CurvePreferences:   []tls.CurveID{tls.X25519},
		NextProtos:         []string{"http/1.1"},
	}
}

// handshakes opens a TLS connection, sends one request and closes it, again and again.
func handshakes(job Job) Result {
	config := TLSConfig()
	message := request(job.Path, "")
	return inParallel(job, func(end time.Time, number int) Result {
		var result Result
		for time.Now().Before(end) {
			if err := handshake(config, false, message, job.Port, number); err != nil {
				result.fail(err)
				continue
			}
			result.Units++
		}
		return result
	})
}

// resumptions does the same with the ticket of the connection before: the first one of each loop is a
// full handshake, which is not counted, and every other that is full is an error.
func resumptions(job Job) Result {
	message := request(job.Path, "")
	return inParallel(job, func(end time.Time, number int) Result {
		var result Result
		config := TLSConfig()
		config.ClientSessionCache = tls.NewLRUClientSessionCache(1)
		if err := handshake(config, false, message, job.Port, number); err != nil {
			result.fail(err)
			return result
		}
		for time.Now().Before(end) {
			if err := handshake(config, true, message, job.Port, number); err != nil {
				result.fail(err)
				continue
			}
			result.Units++
		}
		return result
	})
}

// handshake expects a session to be resumed, or not to be.
func handshake(config *tls.Config, resumed bool, message []byte, port, number int) error {
	dialer := net.Dialer{Timeout: longestWait, LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, byte(2+number%sources))}}
	raw, err := dialer.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		return err
	}
	defer func() { _ = raw.Close() }()
	if err := raw.SetDeadline(time.Now().Add(longestWait)); err != nil {
		return err
	}
	connection := tls.Client(raw, config)
	if _, err := connection.Write(message); err != nil {
		return err
	}
	if connection.ConnectionState().DidResume != resumed {
		return fmt.Errorf("a session was resumed: %t", !resumed)
	}
	return readResponse(bufio.NewReader(connection))
}

// inParallel runs as many loops as the job has connections and adds up what they did.
func inParallel(job Job, loop func(end time.Time, number int) Result) Result {
	end := time.Now().Add(job.Duration)
	results := make(chan Result)
	for number := range job.Connections {
		go func() { results <- loop(end, number) }()
	}
	var total Result
	for range job.Connections {
		total.add(<-results)
	}
	return total
}

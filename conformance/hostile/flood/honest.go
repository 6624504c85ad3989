package flood

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"

	"golang.org/x/net/http2"

	"selvedge.dev/conformance/gateways"
	"selvedge.dev/conformance/hostile/recorder"
)

const (
	// busyRequests of an honest client over one connection, one of giveUpEvery given up, a ping every pingEvery.
	busyRequests, giveUpEvery, pingEvery = 3000, 50, 100
	// downloads of largeAnswer bytes, one behind the other, and smallFrames of one upload.
	downloads, smallFrames = 64, 5000
	// halfPrefaces are connections that begin with HTTP/2 and go no further.
	halfPrefaces = 200
)

// Busy sends more than most clients do over one connection: no limit may take that for a flood.
func Busy(gateway *gateways.Running, _ *recorder.Recorder) ([]string, error) {
	v, err := newVictim(gateway.HTTP)
	if err != nil {
		return nil, err
	}
	defer v.close()
	for i := range busyRequests {
		if i%giveUpEvery == 0 {
			if err := v.giveUp(); err != nil {
				return []string{fmt.Sprintf("after %d requests: %s", i, err)}, nil
			}
		}
		if err := v.request(); err != nil {
			return []string{fmt.Sprintf("after %d requests: %s", i, err)}, nil
		}
		if i%pingEvery == 0 {
			if err := v.ping(); err != nil {
				return []string{fmt.Sprintf("after %d requests: a ping: %s", i, err)}, nil
			}
		}
	}
	return nil, nil
}

// Download takes much over one connection, and makes room for it as it goes.
func Download(gateway *gateways.Running, backend *recorder.Recorder) ([]string, error) {
	v, err := newVictim(gateway.HTTP)
	if err != nil {
		return nil, err
	}
	defer v.close()
	backend.Script(largeTarget, large())
	defer backend.Take()
	for i := range downloads {
		size, err := v.exchange(http.MethodGet, largeTarget, nil)
		if err != nil || size != largeAnswer {
			return []string{fmt.Sprintf("download %d: %d bytes, %v", i+1, size, err)}, nil
		}
	}
	return nil, nil
}

// SmallFrames uploads a body in frames of a few bytes, as streams of small messages do.
func SmallFrames(gateway *gateways.Running, _ *recorder.Recorder) ([]string, error) {
	v, err := newVictim(gateway.HTTP)
	if err != nil {
		return nil, err
	}
	defer v.close()
	if _, err := v.exchange(http.MethodPost, "/upload", &drops{smallFrames}); err != nil {
		return []string{err.Error()}, nil
	}
	return nil, nil
}

// drops is a body that is read in small pieces.
type drops struct{ left int }

func (d *drops) Read(p []byte) (int, error) {
	if d.left == 0 {
		return 0, io.EOF
	}
	d.left--
	return copy(p, "a small message"), nil
}

// giveUp begins an upload and resets the stream.
func (v *victim) giveUp() error {
	ctx, cancel := context.WithCancel(context.Background())
	begun := make(chan struct{})
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, v.url, upload{ctx, begun})
	if err != nil {
		cancel()
		return err
	}
	request.Host = gateways.Host
	go func() {
		<-begun
		cancel()
	}()
	response, err := v.only.RoundTrip(request)
	if err == nil {
		return response.Body.Close()
	}
	if ctx.Err() == nil {
		cancel()
		return err
	}
	return nil
}

// upload is a body that never comes.
type upload struct {
	ctx   context.Context
	begun chan struct{}
}

func (u upload) Read([]byte) (int, error) {
	close(u.begun)
	<-u.ctx.Done()
	return 0, u.ctx.Err()
}

func (v *victim) ping() error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	return v.only.Ping(ctx)
}

// HalfPrefaces opens connections that stop in the middle of the preface: another connection is served
// all the same, and they cost little.
func HalfPrefaces(gateway *gateways.Running, _ *recorder.Recorder) ([]string, error) {
	v, err := newVictim(gateway.HTTP)
	if err != nil {
		return nil, err
	}
	defer v.close()
	before, err := resetPeak(gateway.PID())
	if err != nil {
		return nil, err
	}
	for range halfPrefaces {
		connection, err := net.Dial("tcp", gateways.Address(gateway.HTTP))
		if err != nil {
			return nil, err
		}
		defer func() { _ = connection.Close() }()
		if _, err := connection.Write([]byte(http2.ClientPreface[:18])); err != nil {
			return nil, err
		}
	}
	var wrong []string
	if err := v.request(); err != nil {
		wrong = append(wrong, fmt.Sprintf("another connection: %s", err))
	}
	after, err := memory(gateway.PID(), "VmHWM")
	if err != nil {
		return nil, err
	}
	if after-before > memoryBound {
		wrong = append(wrong, fmt.Sprintf("memory grew by %.1f MiB; %d are allowed", after-before, memoryBound))
	}
	return wrong, nil
}

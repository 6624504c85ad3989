package load

import (
	"errors"
	"fmt"
	"runtime"
	"runtime/debug"
	"time"

	"golang.org/x/sys/unix"
)

// drain is how long answers are awaited after the last request was due.
const drain = 5 * time.Second

// openLoop sends requests when they are due, whether or not the ones before have been answered. A request
// for which no connection is free waits; the time of each is taken from when it was due.
type openLoop struct {
	Result
	job          Job
	epoll, timer int
	lanes        map[int]lane
	// free holds a connection once for every request that it can take, in the order in which they became free.
	free []int
	// asked are connections that have requests to be written.
	asked   []int
	started time.Time
	// armed is when the timer wakes the loop.
	armed time.Duration
	// due, sent and answered count requests.
	due, sent, answered int
	times               []time.Duration
	buffer              []byte
}

// lane is a connection over which requests are sent; it remembers when each was due.
type lane interface {
	// ask takes in a request; output is what must be written for all that were asked.
	ask(due time.Duration) error
	output() []byte
	// receive takes what has arrived, and says for each whole answer when its request was due.
	receive(data []byte, done func(due time.Duration)) error
}

// constantRate spreads requests evenly over the time.
func constantRate(job Job) Result {
	runtime.LockOSThread()
	debug.SetGCPercent(-1)
	l := &openLoop{job: job, lanes: map[int]lane{}, times: make([]time.Duration, 0, job.total()), buffer: make([]byte, 256<<10)}
	if err := l.run(); err != nil {
		l.fail(err)
	}
	return l.Result
}

// total is how many requests become due.
func (j Job) total() int { return int(float64(j.Rate) * j.Duration.Seconds()) }

func (l *openLoop) run() error {
	if l.job.Rate < 1 {
		return errors.New("the rate is at least 1")
	}
	if err := l.open(); err != nil {
		return err
	}
	l.started = time.Now()
	events := make([]unix.EpollEvent, 128)
	for end := l.job.Duration + drain; l.answered < l.job.total(); {
		now := time.Since(l.started)
		if now > end {
			break
		}
		if err := l.send(now); err != nil {
			return err
		}
		if err := l.arm(end); err != nil {
			return err
		}
		n, err := unix.EpollWait(l.epoll, events, -1)
		if err != nil && !errors.Is(err, unix.EINTR) {
			return err
		}
		for i := range max(n, 0) {
			if err := l.read(int(events[i].Fd)); err != nil {
				return err
			}
		}
	}
	l.finish()
	return nil
}

func (l *openLoop) open() (err error) {
	if l.epoll, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
		return err
	}
	if l.timer, err = unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_NONBLOCK|unix.TFD_CLOEXEC); err != nil {
		return err
	}
	// An edge, so that nobody needs to read the timer.
	if err := l.watch(l.timer, unix.EPOLLIN|unix.EPOLLET); err != nil {
		return err
	}
	for range l.job.Connections {
		fd, err := connect(l.job.Port)
		if err != nil {
			return err
		}
		l.lanes[fd] = newLane(l.job)
		if err := l.watch(fd, unix.EPOLLIN); err != nil {
			return err
		}
	}
	for range max(1, l.job.Streams) {
		for fd := range l.lanes {
			l.free = append(l.free, fd)
		}
	}
	return nil
}

// connect opens a connection and then makes it non-blocking.
func connect(port int) (int, error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return 0, err
	}
	return fd, errors.Join(
		unix.Connect(fd, &unix.SockaddrInet4{Port: port, Addr: [4]byte{127, 0, 0, 1}}),
		unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1),
		unix.SetNonblock(fd, true),
	)
}

func (l *openLoop) watch(fd int, events uint32) error {
	return unix.EpollCtl(l.epoll, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: events, Fd: int32(fd)})
}

// dueAt is when a request is due.
func (j Job) dueAt(number int) time.Duration {
	return time.Duration(float64(number) / float64(j.Rate) * float64(time.Second))
}

// send sends what is due as far as connections are free.
func (l *openLoop) send(now time.Duration) error {
	for l.due < l.job.total() && l.job.dueAt(l.due) <= now {
		l.due++
	}
	for l.sent < l.due && len(l.free) > 0 {
		fd := l.free[0]
		l.free = l.free[1:]
		if err := l.lanes[fd].ask(l.job.dueAt(l.sent)); err != nil {
			return err
		}
		l.asked = append(l.asked, fd)
		l.sent++
	}
	for _, fd := range l.asked {
		if err := l.write(fd); err != nil {
			return err
		}
	}
	l.asked = l.asked[:0]
	return nil
}

func (l *openLoop) write(fd int) error {
	output := l.lanes[fd].output()
	if len(output) == 0 {
		return nil
	}
	n, err := unix.Write(fd, output)
	if err == nil && n < len(output) {
		err = fmt.Errorf("only %d of %d bytes of requests fitted", n, len(output))
	}
	return err
}

// arm wakes the loop when the next request is due, or at the end.
func (l *openLoop) arm(end time.Duration) error {
	next := end
	if l.due < l.job.total() {
		next = l.job.dueAt(l.due)
	}
	if next == l.armed {
		return nil
	}
	l.armed = next
	wait := max(1, next-time.Since(l.started))
	return unix.TimerfdSettime(l.timer, 0, &unix.ItimerSpec{Value: unix.NsecToTimespec(wait.Nanoseconds())}, nil)
}

func (l *openLoop) read(fd int) error {
	if fd == l.timer {
		return nil
	}
	n, err := unix.Read(fd, l.buffer)
	switch {
	case errors.Is(err, unix.EAGAIN):
		return nil
	case err != nil:
		return err
	case n == 0:
		return errors.New("a connection was closed")
	}
	now := time.Since(l.started)
	err = l.lanes[fd].receive(l.buffer[:n], func(due time.Duration) {
		l.times = append(l.times, now-due)
		l.answered++
		if now <= l.job.Duration {
			l.Units++
		}
		l.free = append(l.free, fd)
	})
	if err != nil {
		return err
	}
	return l.write(fd)
}

// finish takes those that have not been answered for as slow as is known.
func (l *openLoop) finish() {
	now := time.Since(l.started)
	for number := l.answered; number < l.job.total(); number++ {
		l.times = append(l.times, now-l.job.dueAt(number))
	}
	l.percentiles(l.times)
	l.Seconds = l.job.Duration.Seconds()
}

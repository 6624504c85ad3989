package wire

import (
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	"selvedge.dev/conformance/network/namespace"
)

// largestPacket is the MTU of the devices.
const largestPacket = 1500

// headSize is what the kernel writes before each packet, and reads there: what is left to do for checksums and for
// packets that it has put together (struct virtio_net_hdr). It is passed on as it is.
const headSize = 10

// largestJoined is a packet that the kernel has put together of several of one TCP connection.
const largestJoined = 1<<16 - 1

// deviceQueue is how many packets the kernel keeps until they are read: enough for what comes while the
// thread that reads waits for a core.
const deviceQueue = 4096

// tun is a TUN device: what the kernel sends to it is read here, and what is written here the kernel receives.
// It is gone when it is closed.
type tun struct{ file int }

// openTUN makes a device in a namespace, up and without an address.
func openTUN(n *namespace.Namespace, name string) (device *tun, err error) {
	err = n.Do(func() error {
		device, err = createTUN(name)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("the TUN device %s of %s: %w", name, n.Name, err)
	}
	if err := n.IP(fmt.Sprintf("link set dev %s mtu %d txqueuelen %d up", name, largestPacket, deviceQueue)); err != nil {
		return nil, errors.Join(err, device.close())
	}
	return device, nil
}

func createTUN(name string) (*tun, error) {
	file, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("/dev/net/tun: %w", err)
	}
	request, err := unix.NewIfreq(name)
	if err == nil {
		request.SetUint16(unix.IFF_TUN | unix.IFF_NO_PI | unix.IFF_VNET_HDR)
		err = unix.IoctlIfreq(file, unix.TUNSETIFF, request)
	}
	if err != nil {
		return nil, errors.Join(err, unix.Close(file))
	}
	return &tun{file}, nil
}

func (t *tun) close() error { return unix.Close(t.file) }

// join lets the kernel hand on packets of TCP as it has put them together, which spares most of the work, or not.
func (t *tun) join(joined bool) error {
	features := 0
	if joined {
		features = unix.TUN_F_CSUM | unix.TUN_F_TSO4
	}
	if err := unix.IoctlSetInt(t.file, unix.TUNSETOFFLOAD, features); err != nil {
		return fmt.Errorf("TUNSETOFFLOAD: %w", err)
	}
	return nil
}

// read gives the next packet that the kernel has sent, behind its head, if there is one.
func (t *tun) read(buffer []byte) (length int, found bool, err error) {
	for {
		length, err := unix.Read(t.file, buffer)
		switch {
		case err == nil:
			return length, true, nil
		case errors.Is(err, unix.EAGAIN):
			return 0, false, nil
		case !errors.Is(err, unix.EINTR):
			return 0, false, err
		}
	}
}

// write gives the kernel a packet with its head. One that the kernel does not take is lost, as it would be on a real device.
func (t *tun) write(packet []byte) error {
	for {
		if _, err := unix.Write(t.file, packet); !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}

// wait returns when the device has packets, when the time has come (negative: never), or when the event has
// happened, which it says.
func (t *tun) wait(limit time.Duration, event int) (happened bool, err error) {
	var timeout *unix.Timespec
	if limit >= 0 {
		value := unix.NsecToTimespec(limit.Nanoseconds())
		timeout = &value
	}
	files := []unix.PollFd{{Fd: int32(t.file), Events: unix.POLLIN}, {Fd: int32(event), Events: unix.POLLIN}}
	if _, err := unix.Ppoll(files, timeout, nil); err != nil && !errors.Is(err, unix.EINTR) {
		return false, err
	}
	if files[0].Revents&(unix.POLLERR|unix.POLLHUP|unix.POLLNVAL) != 0 {
		return false, errors.New("the device is gone")
	}
	return files[1].Revents != 0, nil
}

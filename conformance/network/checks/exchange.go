package checks

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"time"

	"github.com/stretchr/testify/require"

	"selvedge.dev/conformance/network"
)

// place by its name.
func (t *trial) place(lab *network.Lab, name string) *network.Place {
	place, err := lab.Place(name)
	require.NoError(t, err)
	return place
}

// link by its name.
func (t *trial) link(lab *network.Lab, name string) *network.Link {
	link, err := lab.Link(name)
	require.NoError(t, err)
	return link
}

// at is a port of a place.
func at(place *network.Place, port int) string { return on(place.Address, port) }

func on(address netip.Addr, port int) string { return fmt.Sprintf("%s:%d", address, port) }

// serve listens at a port of a place. It tells every client the name and from where it came, and says then
// what the client says.
func (t *trial) serve(place *network.Place, port int, name string) {
	listener, err := place.Listen(at(place, port))
	require.NoError(t, err)
	t.Later(listener.Close)
	go func() {
		for {
			connection, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer func() { _ = connection.Close() }()
				if _, err := fmt.Fprintf(connection, "%s %s\n", name, connection.RemoteAddr()); err == nil {
					_, _ = io.Copy(connection, connection)
				}
			}()
		}
	}()
}

// client is a connection to such a server.
type client struct {
	net.Conn
	reader *bufio.Reader
	// server is its name, from where the client came to it.
	server string
	from   netip.AddrPort
}

// dial connects from an address of a place.
func (t *trial) dial(place *network.Place, from netip.Addr, to string) *client {
	c, err := t.tryToDial(place, from, to, limit)
	require.NoError(t, err)
	return c
}

func (t *trial) tryToDial(place *network.Place, from netip.Addr, to string, timeout time.Duration) (*client, error) {
	dialer := &net.Dialer{Timeout: timeout, LocalAddr: &net.TCPAddr{IP: from.AsSlice()}}
	connection, err := place.Dial(dialer, to)
	if err != nil {
		return nil, err
	}
	t.Later(func() error { _ = connection.Close(); return nil })
	c := &client{Conn: connection, reader: bufio.NewReader(connection)}
	if err := connection.SetDeadline(time.Now().Add(timeout)); err != nil {
		return nil, err
	}
	line, err := c.reader.ReadString('\n')
	if err != nil {
		return nil, err
	}
	var address string
	c.server, address, _ = strings.Cut(strings.TrimSpace(line), " ")
	if c.from, err = netip.ParseAddrPort(address); err != nil {
		return nil, err
	}
	return c, connection.SetDeadline(time.Time{})
}

// says sends a line and reads it back.
func (c *client) says(line string) error {
	if err := c.SetDeadline(time.Now().Add(limit)); err != nil {
		return err
	}
	if _, err := fmt.Fprintln(c, line); err != nil {
		return err
	}
	answer, err := c.reader.ReadString('\n')
	if err == nil && answer != line+"\n" {
		err = fmt.Errorf("said %q, got %q", line, answer)
	}
	return err
}

// endpoint sends and receives datagrams.
type endpoint struct {
	*net.UDPConn
	t *trial
}

// udp opens a port of a place.
func (t *trial) udp(place *network.Place, address netip.Addr, port int) *endpoint {
	connection, err := place.ListenUDP(on(address, port))
	require.NoError(t, err)
	t.Later(connection.Close)
	return &endpoint{connection, t}
}

func (e *endpoint) send(text string, to netip.AddrPort) {
	_, err := e.WriteToUDPAddrPort([]byte(text), to)
	require.NoError(e.t, err)
}

// receive the next datagram and from where it came.
func (e *endpoint) receive() (text string, from netip.AddrPort) {
	require.NoError(e.t, e.SetReadDeadline(time.Now().Add(limit)))
	buffer := make([]byte, 2048)
	length, from, err := e.ReadFromUDPAddrPort(buffer)
	require.NoError(e.t, err)
	return string(buffer[:length]), netip.AddrPortFrom(from.Addr().Unmap(), from.Port())
}

func addressAndPort(address netip.Addr, port int) netip.AddrPort {
	return netip.AddrPortFrom(address, uint16(port))
}

package suites

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"github.com/pires/go-proxyproto"

	"selvedge.dev/conformance/gateways"
)

// proxyProtocolSettings put the listener filter before everything else.
var proxyProtocolSettings = []string{
	`listener_filters: [{name: envoy.filters.listener.proxy_protocol, typed_config: {"@type": type.googleapis.com/envoy.extensions.filters.listener.proxy_protocol.v3.ProxyProtocol}}]`,
}

// refused is what a client gets whose header is not taken.
const refused = "closed"

// local is what the backend sees of a client on this machine.
const local = "127.0.0.1"

// proxyHeader is a header and what must come of it: the client that the backend sees, or refused.
type proxyHeader struct {
	name string
	// header is encoded by the library, bytes are taken as they are.
	header *proxyproto.Header
	bytes  string
	expect string
}

func proxyHeaders() []proxyHeader {
	four := &net.TCPAddr{IP: net.IPv4(10, 9, 8, 7), Port: 1234}
	six := &net.TCPAddr{IP: net.ParseIP("2001:db8::7"), Port: 1234}
	to4, to6 := &net.TCPAddr{IP: net.IPv4(10, 0, 0, 1), Port: 80}, &net.TCPAddr{IP: net.ParseIP("2001:db8::1"), Port: 80}
	header := func(version byte, command proxyproto.ProtocolVersionAndCommand, family proxyproto.AddressFamilyAndProtocol, from, to net.Addr) *proxyproto.Header {
		return &proxyproto.Header{Version: version, Command: command, TransportProtocol: family, SourceAddr: from, DestinationAddr: to}
	}
	withField := header(2, proxyproto.PROXY, proxyproto.TCPv4, four, to4)
	// The library's own error cannot come of one short field.
	_ = withField.SetTLVs([]proxyproto.TLV{{Type: proxyproto.PP2_TYPE_AUTHORITY, Value: []byte("hostile.test")}})
	return []proxyHeader{
		{name: "version 1, IPv4", header: header(1, proxyproto.PROXY, proxyproto.TCPv4, four, to4), expect: "10.9.8.7"},
		{name: "version 1, IPv6", header: header(1, proxyproto.PROXY, proxyproto.TCPv6, six, to6), expect: "2001:db8::7"},
		{name: "version 1, unknown", bytes: "PROXY UNKNOWN\r\n", expect: local},
		{name: "version 2, IPv4", header: header(2, proxyproto.PROXY, proxyproto.TCPv4, four, to4), expect: "10.9.8.7"},
		{name: "version 2, IPv6", header: header(2, proxyproto.PROXY, proxyproto.TCPv6, six, to6), expect: "2001:db8::7"},
		{name: "version 2, with a field", header: withField, expect: "10.9.8.7"},
		{name: "version 2, local", bytes: "\r\n\r\n\x00\r\nQUIT\n\x20\x00\x00\x00", expect: local},
		{name: "no header", bytes: "", expect: refused},
		{name: "version 1, a port that is none", bytes: "PROXY TCP4 10.9.8.7 10.0.0.1 99999 80\r\n", expect: refused},
		{name: "version 1, an address that is none", bytes: "PROXY TCP4 10.9.8.777 10.0.0.1 1234 80\r\n", expect: refused},
		{name: "version 1, an address of the other family", bytes: "PROXY TCP4 2001:db8::7 2001:db8::1 1234 80\r\n", expect: refused},
		{name: "version 1, no end", bytes: "PROXY TCP4 10.9.8.7 10.0.0.1 1234 80" + string(make([]byte, 120)), expect: refused},
		{name: "version 1, lower case", bytes: "proxy tcp4 10.9.8.7 10.0.0.1 1234 80\r\n", expect: refused},
		{name: "version 2, another version", bytes: "\r\n\r\n\x00\r\nQUIT\n\x31\x11\x00\x0c\x0a\x09\x08\x07\x0a\x00\x00\x01\x04\xd2\x00\x50", expect: refused},
		{name: "version 2, another command", bytes: "\r\n\r\n\x00\r\nQUIT\n\x2f\x11\x00\x0c\x0a\x09\x08\x07\x0a\x00\x00\x01\x04\xd2\x00\x50", expect: refused},
		{name: "version 2, too short for its addresses", bytes: "\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x04\x0a\x09\x08\x07", expect: refused},
		{name: "version 2, longer than any header", bytes: "\r\n\r\n\x00\r\nQUIT\n\x21\x11\xff\xff\x0a\x09\x08\x07", expect: refused},
	}
}

// runProxyProtocol sends headers of the PROXY protocol and looks at the client that the backend sees.
func runProxyProtocol(l *Lab) ([]Result, error) {
	gateway, err := l.start(gateways.SelvedgeWithListeners, func(g *gateways.Gateway) {
		g.Host, g.ListenerSettings = gateways.Any, proxyProtocolSettings
	})
	if err != nil {
		return nil, err
	}
	defer gateway.Stop()
	stop, err := serveBackend(gateway.Backend)
	if err != nil {
		return nil, err
	}
	defer stop()
	var results []Result
	for _, one := range proxyHeaders() {
		result := Result{Name: one.name}
		got, err := one.send(gateway.HTTP)
		if err != nil {
			result.Problem = err.Error()
		} else if got != one.expect {
			result.Problem = fmt.Sprintf("the client is %s, not %s", got, one.expect)
		}
		results = append(results, result)
	}
	return results, nil
}

// send opens a connection with the header and asks the backend who the client is.
func (p *proxyHeader) send(port int) (string, error) {
	connection, err := net.Dial("tcp", gateways.Address(port))
	if err != nil {
		return "", err
	}
	defer func() { _ = connection.Close() }()
	if err := connection.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		return "", err
	}
	header := []byte(p.bytes)
	if p.header != nil {
		if header, err = p.header.Format(); err != nil {
			return "", err
		}
	}
	// A gateway that refuses the header need not read on.
	_, _ = connection.Write(append(header, "GET /client HTTP/1.1\r\nHost: hostile.test\r\n\r\n"...))
	response, err := http.ReadResponse(bufio.NewReader(connection), nil)
	var timeout net.Error
	if errors.As(err, &timeout) && timeout.Timeout() {
		return "", errors.New("the gateway neither answers nor closes")
	}
	if err != nil {
		return refused, nil
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	if response.StatusCode != http.StatusOK {
		return response.Status, err
	}
	return string(body), err
}

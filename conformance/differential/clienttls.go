package differential

import (
	"crypto/tls"
	"fmt"
	"slices"

	"selvedge.dev/conformance/certificate"
)

// config is the client's side of TLS. The gateway's certificate is reported, not verified: whether a
// client trusts it is not the gateway's doing.
func (c *ClientTLS) config(identities certificate.Identities) (*tls.Config, error) {
	config := &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS12}
	if c.SNI != "none" {
		config.ServerName = c.SNI
	}
	if !slices.Equal(c.ALPN, []string{"none"}) {
		config.NextProtos = c.ALPN
	}
	if c.Client != "" {
		certificate, known := identities[c.Client]
		if !known {
			return nil, fmt.Errorf("no client certificate %q", c.Client)
		}
		// Given whatever authorities the server names: a foreign certificate must be sent, too.
		config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &certificate, nil }
	}
	var err error
	if c.Min != "" {
		if config.MinVersion, err = version(c.Min); err != nil {
			return nil, err
		}
	}
	if c.Max != "" {
		config.MaxVersion, err = version(c.Max)
	}
	return config, err
}

func version(text string) (uint16, error) {
	versions := map[string]uint16{"1.0": tls.VersionTLS10, "1.1": tls.VersionTLS11, "1.2": tls.VersionTLS12, "1.3": tls.VersionTLS13}
	number, known := versions[text]
	if !known {
		return 0, fmt.Errorf("no TLS version %q", text)
	}
	return number, nil
}

func describe(state tls.ConnectionState) *Handshake {
	handshake := &Handshake{Version: tls.VersionName(state.Version), ALPN: state.NegotiatedProtocol}
	if len(state.PeerCertificates) > 0 {
		leaf := state.PeerCertificates[0]
		handshake.Certificate = leaf.Subject.CommonName
		if handshake.Certificate == "" && len(leaf.DNSNames) > 0 {
			handshake.Certificate = leaf.DNSNames[0]
		}
	}
	return handshake
}

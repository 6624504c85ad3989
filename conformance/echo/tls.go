package echo

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"
	"path/filepath"
)

// serverTLS reads the certificates of a folder: plain asks for no client certificate, mutual wants
// one that ca.crt signed.
func serverTLS(folder string, alpn []string) (plain, mutual *tls.Config, err error) {
	certificate, err := tls.LoadX509KeyPair(filepath.Join(folder, "tls.crt"), filepath.Join(folder, "tls.key"))
	if err != nil {
		return nil, nil, err
	}
	ca, err := os.ReadFile(filepath.Join(folder, "ca.crt"))
	if err != nil {
		return nil, nil, err
	}
	clients := x509.NewCertPool()
	if !clients.AppendCertsFromPEM(ca) {
		return nil, nil, fmt.Errorf("%s: ca.crt holds no certificate", folder)
	}
	plain = &tls.Config{Certificates: []tls.Certificate{certificate}, NextProtos: alpn, MinVersion: tls.VersionTLS12}
	mutual = plain.Clone()
	mutual.ClientCAs, mutual.ClientAuth = clients, tls.RequireAndVerifyClientCert
	return plain, mutual, nil
}

func withoutALPN(config *tls.Config) *tls.Config {
	config = config.Clone()
	config.NextProtos = nil
	return config
}

func describeTLS(state tls.ConnectionState) *TLS {
	described := &TLS{Version: tls.VersionName(state.Version), SNI: state.ServerName, ALPN: state.NegotiatedProtocol}
	if len(state.PeerCertificates) > 0 {
		leaf := state.PeerCertificates[0]
		for _, uri := range leaf.URIs {
			described.Client = append(described.Client, uri.String())
		}
		if leaf.Subject.CommonName != "" {
			described.Client = append(described.Client, "CN="+leaf.Subject.CommonName)
		}
	}
	return described
}

package peer

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"math/big"
	"os"
	"path/filepath"
	"time"

	"selvedge.dev/conformance/bench/load"
)

// SecureBackend is the name of the backend that wants a certificate.
const SecureBackend = "secure.bench.internal"

// Certificates are all that a run needs, by one authority.
type Certificates struct {
	// Authority's certificate; its key is not kept.
	Authority *Certificate
	// Server and RSA are for the host that every request asks for, with keys on P-256 and of 2048 bits.
	Server, RSA *Certificate
	// Backend is what the backend behind mutual TLS shows, Client what the proxies show it.
	Backend, Client *Certificate
}

// Certificate with its key, if we have it.
type Certificate struct {
	// Chain and Key are PEM.
	Chain, Key []byte
	// ChainFile and KeyFile hold them, BundleFile both.
	ChainFile, KeyFile, BundleFile string
}

// authority signs certificates and writes them to a folder.
type authority struct {
	directory   string
	certificate *x509.Certificate
	key         crypto.Signer
	serial      int64
}

// NewCertificates makes certificates and writes them to a folder.
func NewCertificates(directory string) (*Certificates, error) {
	a := &authority{directory: directory}
	result := &Certificates{}
	var err error
	sign := func(name, commonName string, usage x509.ExtKeyUsage, newKey func() (crypto.Signer, error)) *Certificate {
		if err != nil {
			return nil
		}
		var c *Certificate
		c, err = a.sign(name, commonName, usage, newKey)
		return c
	}
	result.Authority = sign("authority", "bench authority", x509.ExtKeyUsageAny, newP256)
	result.Server = sign("server", load.Host, x509.ExtKeyUsageServerAuth, newP256)
	result.RSA = sign("rsa", load.Host, x509.ExtKeyUsageServerAuth, newRSA)
	result.Backend = sign("backend", SecureBackend, x509.ExtKeyUsageServerAuth, newP256)
	result.Client = sign("client", "bench proxy", x509.ExtKeyUsageClientAuth, newP256)
	return result, err
}

func newP256() (crypto.Signer, error) { return ecdsa.GenerateKey(elliptic.P256(), rand.Reader) }

func newRSA() (crypto.Signer, error) { return rsa.GenerateKey(rand.Reader, 2048) }

// sign makes a key and a certificate; the first is the authority's own.
func (a *authority) sign(name, commonName string, usage x509.ExtKeyUsage, newKey func() (crypto.Signer, error)) (*Certificate, error) {
	key, err := newKey()
	if err != nil {
		return nil, err
	}
	a.serial++
	template := &x509.Certificate{
		SerialNumber: big.NewInt(a.serial),
		Subject:      pkix.Name{CommonName: commonName},
		NotBefore:    time.Now().Add(-time.Hour),
		NotAfter:     time.Now().Add(24 * time.Hour),
		KeyUsage:     x509.KeyUsageDigitalSignature,
	}
	if a.certificate == nil {
		template.IsCA, template.BasicConstraintsValid, template.KeyUsage = true, true, x509.KeyUsageCertSign
		a.certificate, a.key = template, key
	} else {
		template.DNSNames, template.ExtKeyUsage = []string{commonName}, []x509.ExtKeyUsage{usage}
	}
	data, err := x509.CreateCertificate(rand.Reader, template, a.certificate, key.Public(), a.key)
	if err != nil {
		return nil, err
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	return a.write(name, data, private)
}

func (a *authority) write(name string, data, private []byte) (*Certificate, error) {
	file := func(suffix string) string { return filepath.Join(a.directory, name+suffix) }
	c := &Certificate{
		Chain:     pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: data}),
		Key:       pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}),
		ChainFile: file(".pem"), KeyFile: file("-key.pem"), BundleFile: file("-bundle.pem"),
	}
	return c, errors.Join(
		os.WriteFile(c.ChainFile, c.Chain, 0o644),
		os.WriteFile(c.KeyFile, c.Key, 0o600),
		os.WriteFile(c.BundleFile, append(c.Key, c.Chain...), 0o600),
	)
}

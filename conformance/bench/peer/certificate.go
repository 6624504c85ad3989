package peer

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
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

// Certificate is an EC certificate (P-256) for the host that every request asks for.
type Certificate struct {
	// Chain and Key are PEM.
	Chain, Key []byte
	// ChainFile and KeyFile hold them.
	ChainFile, KeyFile string
}

// NewCertificate makes a self-signed certificate and writes it to a folder.
func NewCertificate(directory string) (*Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1),
		Subject:      pkix.Name{CommonName: load.Host},
		DNSNames:     []string{load.Host},
		NotBefore:    time.Now().Add(-time.Hour),
		NotAfter:     time.Now().Add(24 * time.Hour),
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	chain, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, err
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	c := &Certificate{
		Chain:     pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: chain}),
		Key:       pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}),
		ChainFile: filepath.Join(directory, "chain.pem"),
		KeyFile:   filepath.Join(directory, "key.pem"),
	}
	return c, errors.Join(os.WriteFile(c.ChainFile, c.Chain, 0o644), os.WriteFile(c.KeyFile, c.Key, 0o600))
}

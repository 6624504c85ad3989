// Package certificate makes the certificates of tests: authorities, client identities, and Secrets.
package certificate

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
)

// Identities are the client certificates by name:
//
//	good      of the authority that the scenarios' gateways trust, with URI spiffe://test/client
//	other     of the same authority, with another URI
//	expired   of the same authority, out of date
//	foreign   of an authority that nobody trusts
type Identities map[string]tls.Certificate

// Kind is the kind of an object that the runner turns into a Secret:
//
//	apiVersion: selvedge.dev/conformance
//	kind: Certificate
//	metadata: {name: web-tls}        # of the Secret
//	spec:
//	  dnsNames: [web.test]           # the first is the common name, too
//	  uris: [spiffe://...]
//	  issuer: servers                # servers (default), clients, foreign or istio (istiod's own)
//	  authority: clients             # whose certificate is the Secret's ca.crt; the issuer's by default
//	  expired: true
const Kind = "Certificate"

// Spec is the spec of an object of that kind.
type Spec struct {
	DNSNames  []string `json:"dnsNames"`
	URIs      []string `json:"uris"`
	Issuer    string   `json:"issuer"`
	Authority string   `json:"authority"`
	Expired   bool     `json:"expired"`
}

// Authorities are the issuers of one run.
type Authorities map[string]*authority

type authority struct {
	certificate *x509.Certificate
	pem         []byte
	key         any
}

// Load reads the authorities from a folder, and makes those that are not there: backends
// keep their certificates when a cluster is used for another run.
func Load(folder string) (Authorities, error) {
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return nil, err
	}
	all := Authorities{}
	for _, name := range []string{"servers", "clients", "foreign"} {
		file := filepath.Join(folder, name+".pem")
		data, err := os.ReadFile(file)
		if err != nil {
			if data, err = newAuthority(name); err != nil {
				return nil, err
			}
			if err := os.WriteFile(file, data, 0o600); err != nil {
				return nil, err
			}
		}
		if all[name], err = parseAuthority(data, data); err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
	}
	return all, nil
}

// Identities are the client certificates; see the type.
func (a Authorities) Identities() (Identities, error) {
	specs := map[string]Spec{
		"good":    {Issuer: "clients", DNSNames: []string{"good.client.test"}, URIs: []string{"spiffe://test/client"}},
		"other":   {Issuer: "clients", DNSNames: []string{"other.client.test"}, URIs: []string{"spiffe://test/other"}},
		"expired": {Issuer: "clients", DNSNames: []string{"expired.client.test"}, Expired: true},
		"foreign": {Issuer: "foreign", DNSNames: []string{"foreign.client.test"}},
	}
	identities := Identities{}
	for name, spec := range specs {
		certificate, key, err := a.Issue(spec)
		if err != nil {
			return nil, err
		}
		if identities[name], err = tls.X509KeyPair(certificate, key); err != nil {
			return nil, err
		}
	}
	return identities, nil
}

// secret makes a Secret out of a Certificate object.
func (a Authorities) Secret(object *unstructured.Unstructured) (*unstructured.Unstructured, error) {
	var file struct {
		Spec Spec `json:"spec"`
	}
	if err := runtime.DefaultUnstructuredConverter.FromUnstructuredWithValidation(object.Object, &file, false); err != nil {
		return nil, err
	}
	certificate, key, err := a.Issue(file.Spec)
	if err != nil {
		return nil, fmt.Errorf("certificate %s: %w", object.GetName(), err)
	}
	authority := file.Spec.Authority
	if authority == "" {
		authority = file.Spec.issuer()
	}
	if a[authority] == nil {
		return nil, fmt.Errorf("certificate %s: no authority %q", object.GetName(), authority)
	}
	return &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/tls",
		"metadata":   map[string]any{"name": object.GetName(), "namespace": object.GetNamespace()},
		"stringData": map[string]any{"tls.crt": string(certificate), "tls.key": string(key), "ca.crt": string(a[authority].pem)},
	}}, nil
}

func (s Spec) issuer() string {
	if s.Issuer == "" {
		return "servers"
	}
	return s.Issuer
}

// Issue makes a certificate and its key, both as PEM.
func (a Authorities) Issue(spec Spec) (certificate, key []byte, err error) {
	issuer, known := a[spec.issuer()]
	if !known {
		return nil, nil, fmt.Errorf("no issuer %q", spec.Issuer)
	}
	template := &x509.Certificate{
		DNSNames: spec.DNSNames, KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	if len(spec.DNSNames) > 0 {
		template.Subject = pkix.Name{CommonName: spec.DNSNames[0]}
	}
	for _, text := range spec.URIs {
		uri, err := url.Parse(text)
		if err != nil {
			return nil, nil, err
		}
		template.URIs = append(template.URIs, uri)
	}
	setValidity(template, spec.Expired)
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	der, err := x509.CreateCertificate(rand.Reader, template, issuer.certificate, &private.PublicKey, issuer.key)
	if err != nil {
		return nil, nil, err
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return nil, nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER}), nil
}

// newAuthority makes a self-signed certificate and its key, both in one PEM text.
func newAuthority(name string) ([]byte, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		Subject: pkix.Name{CommonName: "test authority for " + name}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign,
	}
	setValidity(template, false)
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return nil, err
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	certificate := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	return append(certificate, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER})...), nil
}

// parseAuthority takes the first certificate and the first key of two PEM texts, which may be one.
func parseAuthority(certificate, key []byte) (*authority, error) {
	pair, err := tls.X509KeyPair(certificate, key)
	if err != nil {
		return nil, err
	}
	leaf, err := x509.ParseCertificate(pair.Certificate[0])
	return &authority{
		certificate: leaf,
		pem:         pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: leaf.Raw}),
		key:         pair.PrivateKey,
	}, err
}

func setValidity(template *x509.Certificate, expired bool) {
	template.SerialNumber = big.NewInt(time.Now().UnixNano())
	template.NotBefore, template.NotAfter = time.Now().Add(-48*time.Hour), time.Now().Add(30*24*time.Hour)
	if expired {
		template.NotAfter = time.Now().Add(-24 * time.Hour)
	}
}

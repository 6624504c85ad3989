package certificate

import (
	"crypto/x509"
	"testing"
	"time"

	"selvedge.dev/conformance/cluster"
)

func TestClientIdentitiesAreWhatTheirNamesSay(t *testing.T) {
	all, err := Load(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	identities, err := all.Identities()
	if err != nil {
		t.Fatal(err)
	}
	trusted := x509.NewCertPool()
	trusted.AddCert(all["clients"].certificate)
	for name, good := range map[string]bool{"good": true, "other": true, "expired": false, "foreign": false} {
		leaf, err := x509.ParseCertificate(identities[name].Certificate[0])
		if err != nil {
			t.Fatal(err)
		}
		_, err = leaf.Verify(x509.VerifyOptions{Roots: trusted, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}})
		if good != (err == nil) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if leaf, _ := x509.ParseCertificate(identities["expired"].Certificate[0]); leaf.NotAfter.After(time.Now()) {
		t.Error("the expired certificate is not")
	}
}

func TestAuthoritiesStayTheSame(t *testing.T) {
	folder := t.TempDir()
	first, err := Load(folder)
	if err != nil {
		t.Fatal(err)
	}
	second, err := Load(folder)
	if err != nil {
		t.Fatal(err)
	}
	if !first["servers"].certificate.Equal(second["servers"].certificate) {
		t.Error("a second run has another authority")
	}
}

func TestACertificateBecomesASecret(t *testing.T) {
	all, err := Load(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	objects, err := cluster.ParseObjects([]byte("kind: Certificate\nmetadata: {name: a, namespace: b}\nspec: {dnsNames: [x.test], authority: clients}\n"))
	if err != nil {
		t.Fatal(err)
	}
	secret, err := all.Secret(objects[0])
	if err != nil {
		t.Fatal(err)
	}
	data, _ := secret.Object["stringData"].(map[string]any)
	if secret.GetName() != "a" || secret.GetNamespace() != "b" || data["ca.crt"] != string(all["clients"].pem) || data["tls.key"] == "" {
		t.Errorf("%v", secret.Object["metadata"])
	}
	objects[0].Object["spec"] = map[string]any{"issuer": "nobody"}
	if _, err := all.Secret(objects[0]); err == nil {
		t.Error("an unknown issuer is accepted")
	}
}

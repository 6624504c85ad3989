package certificate

import (
	"context"
	"crypto/x509"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
)

// AddIstio takes istiod's own signing key as the authority "istio": it vouches for parts of the mesh.
func (a Authorities) AddIstio(ctx context.Context, client kubernetes.Interface) error {
	secret, err := client.CoreV1().Secrets("istio-system").Get(ctx, "istio-ca-secret", metav1.GetOptions{})
	if err != nil {
		return err
	}
	a["istio"], err = parseAuthority(secret.Data["ca-cert.pem"], secret.Data["ca-key.pem"])
	return err
}

// Pool trusts one of the authorities.
func (a Authorities) Pool(name string) *x509.CertPool {
	pool := x509.NewCertPool()
	if one, known := a[name]; known {
		pool.AddCert(one.certificate)
	}
	return pool
}

package peer

import (
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

const selvedgeProgram = "selvedge"

// Where Selvedge in Istio's pod keeps its last good configuration, and finds its token.
const (
	dataDirectory = "/var/lib/istio/data"
	tokenFile     = "/var/run/secrets/tokens/istio-token"
)

func selvedge() *Peer {
	return &Peer{
		Name: "selvedge", Title: "Selvedge", program: selvedgeProgram, version: []string{"--version"},
		Configuration: "`selvedge run --concurrency 1` on the folder `conformance/bench/config`",
		prepare: func(setup *Setup, directory string) ([]string, []string, error) {
			folder := filepath.Join(directory, "config")
			if err := WriteConfig(setup, folder); err != nil {
				return nil, nil, err
			}
			return []string{"run", "--config", folder, "--concurrency", "1", "--log-level", "warn"}, nil, nil
		},
	}
}

// WriteConfig writes what `selvedge run` serves: the folder config and the certificate.
func WriteConfig(setup *Setup, folder string) error {
	if err := os.CopyFS(folder, os.DirFS(filepath.Join(setup.Bench, "config"))); err != nil {
		return err
	}
	encode := base64.StdEncoding.EncodeToString
	secret := fmt.Sprintf("apiVersion: v1\nkind: Secret\nmetadata: {name: bench-certificate, namespace: bench}\ntype: kubernetes.io/tls\ndata:\n  tls.crt: %s\n  tls.key: %s\n",
		encode(setup.Certificate.Chain), encode(setup.Certificate.Key))
	return os.WriteFile(filepath.Join(folder, "certificate.yaml"), []byte(secret), 0o600)
}

// selvedgeIstio gets the same bytes as envoyIstio.
func selvedgeIstio() *Peer {
	return &Peer{
		Name: "selvedge-istio", Title: "Selvedge, Istio's", program: selvedgeProgram, version: []string{"--version"}, HTTPOnly: true,
		Configuration: "`selvedge proxy router --concurrency 1` served over delta ADS with the same resources as \"Envoy, Istio's\"",
		prepare: func(*Setup, string) ([]string, []string, error) {
			arguments, variables := RouterArguments()
			return arguments, variables, PrepareRouter()
		},
	}
}

// PrepareRouter makes the next `selvedge proxy router` start without what an earlier one kept, and with
// a token, which the control plane here does not look at.
func PrepareRouter() error {
	return errors.Join(
		os.RemoveAll(dataDirectory),
		os.MkdirAll(filepath.Dir(dataDirectory), 0o755),
		os.MkdirAll(filepath.Dir(tokenFile), 0o755),
		os.WriteFile(tokenFile, []byte("token"), 0o600),
	)
}

// RouterArguments are the arguments and variables of `selvedge proxy router` against a control plane on
// the plaintext port of istiod.
func RouterArguments() (arguments, variables []string) {
	return []string{"proxy", "router", "--domain", "bench.svc.cluster.local", "--concurrency", "1", "--log_output_level", "default:warn"},
		[]string{
			fmt.Sprintf(`PROXY_CONFIG={"discoveryAddress":"127.0.0.1:%d"}`, ControlPlanePort),
			"POD_NAME=bench", "POD_NAMESPACE=bench", "INSTANCE_IP=127.0.0.1", "SERVICE_ACCOUNT=bench",
		}
}

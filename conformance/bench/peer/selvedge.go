package peer

import (
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
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
		Configuration: "`selvedge run` on the folder `conformance/bench/config`; drives connections as it does by default, by io_uring if the kernel has it",
		prepare:       fromFolder("auto"),
	}
}

// selvedgeEpoll is for machines and containers without io_uring.
func selvedgeEpoll() *Peer {
	return &Peer{
		Name: "selvedge-epoll", Title: "Selvedge, epoll", program: selvedgeProgram, version: []string{"--version"},
		Configuration: "the same with `--io-driver epoll`, as where io_uring is not allowed",
		prepare:       fromFolder("epoll"),
	}
}

func fromFolder(driver string) func(*Setup, string, int) ([]string, []string, error) {
	return func(setup *Setup, directory string, workers int) ([]string, []string, error) {
		folder := filepath.Join(directory, "config")
		if err := WriteConfig(setup, folder); err != nil {
			return nil, nil, err
		}
		return []string{"run", "--config", folder, "--concurrency", strconv.Itoa(workers), "--log-level", "warn", "--io-driver", driver}, nil, nil
	}
}

// WriteConfig writes what `selvedge run` serves: the folder config and the certificates.
func WriteConfig(setup *Setup, folder string) error {
	if err := os.CopyFS(folder, os.DirFS(filepath.Join(setup.Bench, "config"))); err != nil {
		return err
	}
	c := setup.Certificates
	client := secretYAML(clientName, c.Client) + fmt.Sprintf("  ca.crt: %s\n", encode(c.Authority.Chain))
	text := secretYAML(serverName, c.Server) + secretYAML(rsaName, c.RSA) + client
	return os.WriteFile(filepath.Join(folder, "certificates.yaml"), []byte(text), 0o600)
}

func secretYAML(name string, c *Certificate) string {
	return fmt.Sprintf("---\napiVersion: v1\nkind: Secret\nmetadata: {name: %s, namespace: bench}\ntype: kubernetes.io/tls\ndata:\n  tls.crt: %s\n  tls.key: %s\n",
		name, encode(c.Chain), encode(c.Key))
}

var encode = base64.StdEncoding.EncodeToString

// selvedgeIstio gets the same bytes as envoyIstio.
func selvedgeIstio() *Peer {
	return &Peer{
		Name: "selvedge-istio", Title: "Selvedge, Istio's", program: selvedgeProgram, version: []string{"--version"}, HTTPOnly: true,
		Configuration: "`selvedge proxy router` served over delta ADS with the same resources as \"Envoy, Istio's\"",
		prepare: func(_ *Setup, _ string, workers int) ([]string, []string, error) {
			arguments, variables := RouterArguments(workers)
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
func RouterArguments(workers int) (arguments, variables []string) {
	return []string{"proxy", "router", "--domain", "bench.svc.cluster.local", "--concurrency", strconv.Itoa(workers), "--log_output_level", "default:warn"},
		[]string{
			fmt.Sprintf(`PROXY_CONFIG={"discoveryAddress":"127.0.0.1:%d"}`, ControlPlanePort),
			"POD_NAME=bench", "POD_NAMESPACE=bench", "INSTANCE_IP=127.0.0.1", "SERVICE_ACCOUNT=bench",
		}
}

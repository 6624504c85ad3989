package suites

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"selvedge.dev/conformance/gateways"
)

// The policy: what may be agreed on.
var (
	acceptedCiphers = []string{
		"TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256", "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384", "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256",
		"TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256",
	}
	acceptedCurves = []string{"X25519", "secp256r1", "secp384r1"}
)

// cipherScan is what sslyze says of one version of TLS.
type cipherScan struct {
	Status string `json:"status"`
	Result *struct {
		Supported bool `json:"is_tls_version_supported"`
		Accepted  []struct {
			Cipher struct {
				Name string `json:"name"`
			} `json:"cipher_suite"`
		} `json:"accepted_cipher_suites"`
	} `json:"result"`
}

// scan is the part of sslyze's report that the policy is about.
type scan struct {
	Servers []struct {
		Connectivity string `json:"connectivity_status"`
		Results      struct {
			SSL2   cipherScan `json:"ssl_2_0_cipher_suites"`
			SSL3   cipherScan `json:"ssl_3_0_cipher_suites"`
			TLS1   cipherScan `json:"tls_1_0_cipher_suites"`
			TLS11  cipherScan `json:"tls_1_1_cipher_suites"`
			TLS12  cipherScan `json:"tls_1_2_cipher_suites"`
			TLS13  cipherScan `json:"tls_1_3_cipher_suites"`
			Curves struct {
				Result *struct {
					Supported []struct {
						Name string `json:"name"`
					} `json:"supported_curves"`
				} `json:"result"`
			} `json:"elliptic_curves"`
			Compression   flagScan `json:"tls_compression"`
			EarlyData     flagScan `json:"tls_1_3_early_data"`
			Injection     flagScan `json:"openssl_ccs_injection"`
			Heartbleed    flagScan `json:"heartbleed"`
			Fallback      flagScan `json:"tls_fallback_scsv"`
			Robot         flagScan `json:"robot"`
			Renegotiation flagScan `json:"session_renegotiation"`
			MasterSecret  flagScan `json:"tls_extended_master_secret"`
		} `json:"scan_result"`
	} `json:"server_scan_results"`
}

// flagScan is what sslyze says of one weakness.
type flagScan struct {
	Status string         `json:"status"`
	Result map[string]any `json:"result"`
}

// is says whether a flag has a value.
func (f flagScan) is(name string, value any) bool { return f.Result != nil && f.Result[name] == value }

// runScan scans the TLS port and judges what sslyze found by the policy.
func runScan(l *Lab) ([]Result, error) {
	gateway, err := l.start(gateways.Selvedge, func(*gateways.Gateway) {})
	if err != nil {
		return nil, err
	}
	defer gateway.Stop()
	file := filepath.Join(l.Directory, "scan.json")
	output, err := l.command("sslyze", "tools/sslyze/bin/sslyze", "--mozilla_config", "disable", "--json_out", file, "--sni", gateways.Host,
		"--sslv2", "--sslv3", "--tlsv1", "--tlsv1_1", "--tlsv1_2", "--tlsv1_3", "--elliptic_curves", "--compression", "--early_data",
		"--openssl_ccs", "--heartbleed", "--robot", "--reneg", "--ems", "--fallback", gateways.Address(gateway.HTTPS))
	if err != nil {
		return nil, err
	}
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("sslyze has no report: %s", lastLines(output, 5))
	}
	return scanResults(data)
}

func scanResults(data []byte) ([]Result, error) {
	var report scan
	if err := json.Unmarshal(data, &report); err != nil {
		return nil, err
	}
	if len(report.Servers) != 1 || report.Servers[0].Connectivity != "COMPLETED" {
		return nil, fmt.Errorf("sslyze did not reach the gateway: %.500s", data)
	}
	found := report.Servers[0].Results
	var results []Result
	check := func(name string, ok bool, problem string, arguments ...any) {
		result := Result{Name: name}
		if !ok {
			result.Problem = fmt.Sprintf(problem, arguments...)
		}
		results = append(results, result)
	}
	for _, version := range []struct {
		name   string
		scan   cipherScan
		wanted bool
	}{{"SSL 2", found.SSL2, false}, {"SSL 3", found.SSL3, false}, {"TLS 1.0", found.TLS1, false}, {"TLS 1.1", found.TLS11, false}, {"TLS 1.2", found.TLS12, true}, {"TLS 1.3", found.TLS13, true}} {
		ok := version.scan.Result != nil && version.scan.Result.Supported == version.wanted
		check(version.name, ok, "must be spoken: %t", version.wanted)
		if ok && version.wanted {
			for _, accepted := range version.scan.Result.Accepted {
				check(accepted.Cipher.Name, slices.Contains(acceptedCiphers, accepted.Cipher.Name), "is not in the policy")
			}
		}
	}
	check("curves", found.Curves.Result != nil, "were not scanned")
	if found.Curves.Result != nil {
		for _, curve := range found.Curves.Result.Supported {
			check("curve "+curve.Name, slices.Contains(acceptedCurves, curve.Name), "is not in the policy")
		}
	}
	check("compression", found.Compression.is("supports_compression", false), "%v", found.Compression)
	check("early data", found.EarlyData.is("supports_early_data", false), "%v", found.EarlyData)
	check("injection of ChangeCipherSpec", found.Injection.is("is_vulnerable_to_ccs_injection", false), "%v", found.Injection)
	check("Heartbleed", found.Heartbleed.is("is_vulnerable_to_heartbleed", false), "%v", found.Heartbleed)
	check("ROBOT", found.Robot.is("robot_result", "NOT_VULNERABLE_RSA_NOT_SUPPORTED"), "%v", found.Robot)
	check("renegotiation by clients", found.Renegotiation.is("is_vulnerable_to_client_renegotiation_dos", false), "%v", found.Renegotiation)
	check("extended master secret", found.MasterSecret.is("supports_ems_extension", true), "%v", found.MasterSecret)
	return results, nil
}

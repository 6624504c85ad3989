package kubelet

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"
)

// longestLogLine bounds one line of a log that is read back.
const longestLogLine = 1 << 20

// logPath is the log file of a pod; it survives the pod.
func (k *Kubelet) logPath(namespace, name string) string {
	return LogPath(k.RunDir, namespace, name)
}

// LogPath is where a kubelet with this run directory keeps the output of a pod.
func LogPath(runDir, namespace, name string) string {
	return filepath.Join(runDir, filepath.Base(namespace+"_"+name+".log"))
}

// logFile stamps every line with its time, as container runtimes do.
type logFile struct {
	mu      sync.Mutex
	file    *os.File
	partial []byte
}

func openLog(path string) (*logFile, error) {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	return &logFile{file: file}, err
}

func (l *logFile) Write(data []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.partial = append(l.partial, data...)
	for {
		end := bytes.IndexByte(l.partial, '\n')
		if end < 0 {
			return len(data), nil
		}
		if _, err := fmt.Fprintf(l.file, "%s %s\n", time.Now().UTC().Format(time.RFC3339Nano), l.partial[:end]); err != nil {
			return 0, err
		}
		l.partial = l.partial[end+1:]
	}
}

func (l *logFile) Close() { _ = l.file.Close() }

// serveLogs is the part of the kubelet's API behind "kubectl logs".
func (k *Kubelet) serveLogs(ctx context.Context) {
	certificate, err := throwAwayCertificate()
	if err != nil {
		log.Printf("logs: %v", err)
		return
	}
	routes := http.NewServeMux()
	routes.HandleFunc("GET /containerLogs/{namespace}/{pod}/{container}", func(w http.ResponseWriter, r *http.Request) {
		lines, err := readLog(k.logPath(r.PathValue("namespace"), r.PathValue("pod")), r.URL.Query())
		if err != nil {
			http.Error(w, err.Error(), http.StatusNotFound)
			return
		}
		for _, line := range lines {
			_, _ = fmt.Fprintln(w, line)
		}
	})
	server := &http.Server{
		Addr:              net.JoinHostPort(NodeIP, strconv.Itoa(logPort)),
		Handler:           routes,
		ReadHeaderTimeout: 10 * time.Second,
		TLSConfig:         &tls.Config{Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS12},
	}
	go func() { <-ctx.Done(); _ = server.Close() }()
	log.Printf("logs: %v", server.ListenAndServeTLS("", ""))
}

// throwAwayCertificate serves the API server, which does not verify kubelets unless it is told to.
func throwAwayCertificate() (tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, err
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(24 * time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, err
}

// readLog applies the query parameters sinceTime, sinceSeconds, timestamps and tailLines.
func readLog(path string, query url.Values) ([]string, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = file.Close() }()
	since, err := logStart(query)
	if err != nil {
		return nil, err
	}
	var lines []string
	scanner := bufio.NewScanner(file)
	scanner.Buffer(nil, longestLogLine)
	for scanner.Scan() {
		stamp, line, _ := strings.Cut(scanner.Text(), " ")
		if at, err := time.Parse(time.RFC3339Nano, stamp); err == nil && at.Before(since) {
			continue
		}
		if query.Get("timestamps") == "true" {
			line = stamp + " " + line
		}
		lines = append(lines, line)
	}
	if tail, err := strconv.Atoi(query.Get("tailLines")); err == nil && tail >= 0 && tail < len(lines) {
		lines = lines[len(lines)-tail:]
	}
	return lines, scanner.Err()
}

func logStart(query url.Values) (time.Time, error) {
	if text := query.Get("sinceTime"); text != "" {
		return time.Parse(time.RFC3339, text)
	}
	if text := query.Get("sinceSeconds"); text != "" {
		seconds, err := strconv.Atoi(text)
		return time.Now().Add(-time.Duration(seconds) * time.Second), err
	}
	return time.Time{}, nil
}

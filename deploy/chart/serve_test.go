package chart

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io"
	"math/big"
	"net/http"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	monitoringv1 "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	corev1 "k8s.io/api/core/v1"
)

// patience is for a machine that is busy with something else.
const patience = 2 * time.Minute

// quash starts with the command line, the environment and the files of a pod, and
// answers the pod's probes, and whoever scrapes it. Only the addresses are others, of loopback.
func TestServes(t *testing.T) {
	t.Parallel()
	quash := buildQuash(t)
	eachSet(t, func(t *testing.T, v values) {
		all := install(t, v)
		container := all.container(t)
		admin := start(t, quash, onLoopback(container.Args, mount(t, all)), environment(container))
		for what, probe := range map[string]*corev1.Probe{
			"startup": container.StartupProbe, "liveness": container.LivenessProbe, "readiness": container.ReadinessProbe,
		} {
			url := strings.ToLower(string(probe.HTTPGet.Scheme)) + "://" + admin + probe.HTTPGet.Path
			if status := get(t, url); status != http.StatusOK {
				t.Errorf("the %s probe of %s gets %d", what, url, status)
			}
		}
		for _, monitor := range every[*monitoringv1.ServiceMonitor](all) {
			endpoint := monitor.Spec.Endpoints[0]
			url := endpoint.Scheme.String() + "://" + admin + endpoint.Path
			if status := get(t, url); status != http.StatusOK {
				t.Errorf("who scrapes %s gets %d", url, status)
			}
		}
	})
}

// buildQuash builds the quash that the chart is delivered with.
func buildQuash(t *testing.T) (binary string) {
	t.Helper()
	binary = filepath.Join(t.TempDir(), "quash")
	build := exec.CommandContext(t.Context(), "go", "build", "-o", binary, "./cmd/quash")
	build.Dir = filepath.Join("..", "..")
	if output, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build quash: %v\n%s", err, output)
	}
	return binary
}

// mount writes what the pod has in /etc/quash into a folder.
func mount(t *testing.T, all objects) (root string) {
	t.Helper()
	root = t.TempDir()
	certificate, key := newCertificate(t)
	maps := map[string]*corev1.ConfigMap{}
	for _, m := range every[*corev1.ConfigMap](all) {
		maps[m.Name] = m
	}
	for _, arg := range all.container(t).Args {
		flag, file, _ := strings.Cut(arg, "=")
		if !strings.HasSuffix(flag, "-file") {
			continue
		}
		content := []byte(nil)
		source := mounted(t, all, file)
		switch {
		case source.ConfigMap != nil && maps[source.ConfigMap.Name] != nil: // the chart's own
			content = []byte(maps[source.ConfigMap.Name].Data[path.Base(file)])
		case flag == "--tls-key-file":
			content = key
		case flag == "--tls-cert-file", flag == "--tls-client-ca-file":
			content = certificate
		case flag == "--allowed-callers-file":
			content = []byte("sessions.example.org\n")
		case flag == "--upstream-api-key-file":
			content = []byte("key")
		default:
			t.Fatalf("what is in %s?", file)
		}
		name := filepath.Join(root, file)
		if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

// onLoopback returns the command line with its files below root and its listeners at free
// ports of loopback. In capitals quash takes that for the name of another machine, and
// is as strict as it is about the pod's, which all may reach.
func onLoopback(args []string, root string) []string {
	var here []string
	for _, arg := range args {
		flag, value, _ := strings.Cut(arg, "=")
		switch {
		case strings.HasSuffix(flag, "-file"):
			arg = flag + "=" + filepath.Join(root, value)
		case strings.HasSuffix(flag, "-addr"):
			arg = flag + "=LOCALHOST:0"
		}
		here = append(here, arg)
	}
	return here
}

// environment leaves out where telemetry goes, which is not here.
func environment(c corev1.Container) []string {
	env := []string{"PATH=" + os.Getenv("PATH")}
	for _, v := range c.Env {
		if !strings.HasPrefix(v.Name, "OTEL_") {
			env = append(env, v.Name+"="+v.Value)
		}
	}
	return env
}

// serving is what quash logs, in either format, once it serves.
var serving = regexp.MustCompile(`\bserving\b.*\badmin"?[=:]"?([^\s",}]+)`)

// start runs quash to the end of the test, and returns the address of its admin
// listener once it serves.
func start(t *testing.T, quash string, args, env []string) (admin string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	cmd := exec.CommandContext(ctx, quash, args...)
	cmd.Env = env
	log, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	drained := make(chan struct{})
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		<-drained
		_ = cmd.Wait()
	})
	lines := bufio.NewReader(log)
	var said strings.Builder
	for admin == "" {
		line, err := lines.ReadString('\n')
		said.WriteString(line)
		if match := serving.FindStringSubmatch(line); match != nil {
			admin = match[1]
		}
		if err != nil {
			close(drained)
			t.Fatalf("quash %s does not serve: %v\n%s", strings.Join(args, " "), err, &said)
		}
	}
	go func() {
		defer close(drained)
		_, _ = io.Copy(io.Discard, lines)
	}()
	return admin
}

// get asks as the kubelet does, which verifies no certificate.
func get(t *testing.T, url string) (status int) {
	t.Helper()
	transport := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport, Timeout: patience}
	resp, err := client.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	return resp.StatusCode
}

// newCertificate returns a certificate that vouches for itself, and its key, as PEM.
func newCertificate(t *testing.T) (certificate, key []byte) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1),
		NotBefore:    time.Now().Add(-time.Hour),
		NotAfter:     time.Now().Add(time.Hour),
		DNSNames:     []string{"blue-quash.prod.svc"},
	}
	der, errCertificate := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	pkcs8, errKey := x509.MarshalPKCS8PrivateKey(private)
	if err := errors.Join(err, errCertificate, errKey); err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8})
}

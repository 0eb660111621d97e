package chart

import (
	"crypto/tls"
	"crypto/x509"
	"net/http"
	"os"
	"path"
	"path/filepath"
	"strings"
	"testing"
	"time"

	monitoringv1 "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	corev1 "k8s.io/api/core/v1"

	"github.com/quashdev/quash/internal/pkitest"
	"github.com/quashdev/quash/internal/proctest"
)

// quash starts with the command line, the environment and the files of a pod, and answers
// the pod's probes and Prometheus. Only the listen addresses differ: they are on loopback.
func TestServes(t *testing.T) {
	t.Parallel()
	binary, err := proctest.Build(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	eachSet(t, func(t *testing.T, v values) {
		all := install(t, v)
		container := all.container(t)
		quash, addrs, err := proctest.Serve(binary, environment(container), onLoopback(t, all)...)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(quash.Kill)
		for _, probe := range []*corev1.Probe{container.StartupProbe, container.LivenessProbe, container.ReadinessProbe} {
			get(t, string(probe.HTTPGet.Scheme)+"://"+addrs.Admin+probe.HTTPGet.Path)
		}
		for _, monitor := range every[*monitoringv1.ServiceMonitor](all) {
			endpoint := monitor.Spec.Endpoints[0]
			get(t, endpoint.Scheme.String()+"://"+addrs.Admin+endpoint.Path)
		}
	})
}

// onLoopback returns the command line of the pod, with its listeners on free loopback ports
// and its files in a temporary directory. The host is LOCALHOST in capitals, which quash does
// not recognise as loopback, so that it requires TLS as it does in a pod.
func onLoopback(t *testing.T, all objects) (args []string) {
	t.Helper()
	ca := pkitest.NewCA("authority")
	cert, key := pkitest.PEM(ca.Issue(&x509.Certificate{DNSNames: []string{"blue-quash.prod.svc"}}))
	contents := map[string][]byte{
		"--tls-cert-file":         cert,
		"--tls-key-file":          key,
		"--tls-client-ca-file":    ca.PEM(),
		"--allowed-callers-file":  []byte("sessions.example.org\n"),
		"--upstream-api-key-file": []byte("key"),
	}
	dir := t.TempDir()
	for _, arg := range all.container(t).Args {
		flag, value, _ := strings.Cut(arg, "=")
		switch {
		case strings.HasSuffix(flag, "-addr"):
			arg = flag + "=LOCALHOST:0"
		case strings.HasSuffix(flag, "-file"):
			content := contents[flag]
			source := mounted(t, all, value)
			for _, m := range every[*corev1.ConfigMap](all) {
				if source.ConfigMap != nil && source.ConfigMap.Name == m.Name { // the chart's own
					content = []byte(m.Data[path.Base(value)])
				}
			}
			file := filepath.Join(dir, flag)
			if err := os.WriteFile(file, content, 0o600); err != nil {
				t.Fatal(err)
			}
			arg = flag + "=" + file
		}
		args = append(args, arg)
	}
	return args
}

// environment returns the container's environment without the telemetry endpoint, which does
// not exist here.
func environment(c corev1.Container) (env []string) {
	for _, v := range c.Env {
		if !strings.HasPrefix(v.Name, "OTEL_") {
			env = append(env, v.Name+"="+v.Value)
		}
	}
	return env
}

// get fails the test unless a URL answers 200. It does not verify certificates; nor does the
// kubelet.
func get(t *testing.T, url string) {
	t.Helper()
	transport := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport, Timeout: time.Minute}
	resp, err := client.Get(url)
	if err != nil {
		t.Error(err)
		return
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		t.Errorf("%s: %s", url, resp.Status)
	}
}

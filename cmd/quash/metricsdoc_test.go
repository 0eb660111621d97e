package main

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/quashdev/quash/internal/pkitest"
	"github.com/quashdev/quash/service/slashid"
)

const metricsDoc = "../../docs/reference/metrics.md"

// docs/reference/metrics.md is written from a scrape of a quash that has everything to
// measure.
func TestMetricsDoc(t *testing.T) {
	t.Parallel()
	want := renderMetrics(scrapeOfEverything(t))
	if *update {
		if err := os.WriteFile(metricsDoc, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(metricsDoc)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != want {
		t.Errorf("%s is stale; make docs writes it anew", metricsDoc)
	}
}

// scrapeOfEverything are the metrics of a quash with TLS and all files there are, whose
// calls have had all answers that it measures the wait for, and one has had none.
func scrapeOfEverything(t *testing.T) map[string]*dto.MetricFamily {
	t.Helper()
	var asked atomic.Int64
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		switch asked.Add(1) {
		case 1:
			w.WriteHeader(http.StatusNoContent)
		case 2:
			w.WriteHeader(http.StatusRequestTimeout)
			_, _ = io.WriteString(w, `{"errors":[{"httpcode":408,"message":"later"}]}`)
		case 3:
			http.Error(w, "a proxy's", http.StatusRequestTimeout)
		default:
			panic(http.ErrAbortHandler)
		}
	}))
	t.Cleanup(upstream.Close)
	ca := pkitest.NewCA("authority")
	pair := ca.Issue(&x509.Certificate{DNSNames: []string{"localhost"}})
	certPEM, keyPEM := pkitest.PEM(pair)
	dir := t.TempDir()
	file := func(name string, content []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	p := newProcess([]string{
		"quash", "serve", "--upstream-url", upstream.URL, "--upstream-api-key-file", file("api-key", []byte("key")),
		"--upstream-ca-file", file("upstream-ca.pem", ca.PEM()),
		"--tls-cert-file", file("cert.pem", certPEM), "--tls-key-file", file("key.pem", keyPEM),
		"--tls-client-ca-file", file("ca.pem", ca.PEM()), "--allowed-callers-file", file("callers", []byte("localhost")),
		"--grpc-addr", "127.0.0.1:0", "--http-addr", "127.0.0.1:0", "--admin-addr", "127.0.0.1:0",
	})
	if err := p.start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.kill)
	addrs, err := p.awaitServing()
	if err != nil {
		t.Fatal(err)
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{
		RootCAs: pkitest.Pool(ca), ServerName: "localhost", Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS13,
	}}}
	for i, want := range []int{
		http.StatusNoContent, http.StatusRequestTimeout, http.StatusServiceUnavailable, http.StatusServiceUnavailable,
	} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "https://"+addrs["HTTP"]+"/token/revoke", strings.NewReader(`{"token":"a"}`))
		if err != nil {
			t.Fatal(err)
		}
		if i == 1 {
			req.Header.Set(slashid.HeaderConsistency, string(slashid.AllRegions))
		}
		resp, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if resp.StatusCode != want {
			t.Errorf("call %d: %s", i, resp.Status)
		}
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+addrs["ADMIN"]+"/metrics", nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	parser := expfmt.NewTextParser(model.LegacyValidation)
	families, err := parser.TextToMetricFamilies(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return families
}

func renderMetrics(families map[string]*dto.MetricFamily) string {
	var b strings.Builder
	b.WriteString(`<!-- Written by make docs from a scrape of quash. -->
# Metrics

As Prometheus scrapes them from ` + "`/metrics`" + ` of the admin listener. Over OTLP they have dots for
underscores, and neither the unit nor ` + "`_total`" + ` at their ends. A label that does not apply is
not there: an error has no ` + "`quash_outcome`" + `, and a request that could not be read no
` + "`quash_consistency`" + `. What the reasons and states mean is in [outcomes](../outcomes.md).

Besides these there are ` + "`go_*` and `process_*`" + `, as from any program in Go.

| metric | type | labels | what |
| --- | --- | --- | --- |
`)
	for _, name := range slices.Sorted(maps.Keys(families)) {
		if strings.HasPrefix(name, "go_") || strings.HasPrefix(name, "process_") || strings.HasPrefix(name, "promhttp_") {
			continue
		}
		family := families[name]
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", name, strings.ToLower(family.GetType().String()), renderLabels(family), family.GetHelp())
	}
	return b.String()
}

// renderLabels tells of our own labels the values too: there are no others.
func renderLabels(family *dto.MetricFamily) string {
	values := map[string]map[string]bool{}
	for _, metric := range family.GetMetric() {
		for _, label := range metric.GetLabel() {
			if values[label.GetName()] == nil {
				values[label.GetName()] = map[string]bool{}
			}
			values[label.GetName()][label.GetValue()] = true
		}
	}
	var labels []string
	for _, name := range slices.Sorted(maps.Keys(values)) {
		text := "`" + name + "`"
		if strings.HasPrefix(name, "quash_") {
			text += ": " + strings.Join(slices.Sorted(maps.Keys(values[name])), ", ")
		}
		labels = append(labels, text)
	}
	return strings.Join(labels, "; ")
}

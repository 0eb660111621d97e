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
	"github.com/quashdev/quash/internal/proctest"
	"github.com/quashdev/quash/service/slashid"
)

const metricsDoc = "../../docs/reference/metrics.md"

// docs/reference/metrics.md is generated from a scrape of a quash that has every metric.
func TestMetricsDoc(t *testing.T) {
	t.Parallel()
	want := renderMetrics(scrapeOfEverything(t))
	if *update {
		if err := os.WriteFile(metricsDoc, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := os.ReadFile(metricsDoc); err != nil || string(got) != want {
		t.Errorf("%s is stale (%v); make docs writes it", metricsDoc, err)
	}
}

// scrapeOfEverything returns the metrics of a quash with TLS and all of its files. It has
// received each answer whose wait it measures, and one call got no answer.
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
	args := []string{
		"serve", "--upstream-url", upstream.URL,
		"--grpc-addr", "127.0.0.1:0", "--http-addr", "127.0.0.1:0", "--admin-addr", "127.0.0.1:0",
	}
	for flag, content := range map[string][]byte{
		"upstream-api-key-file": []byte("key"),
		"upstream-ca-file":      ca.PEM(),
		"tls-cert-file":         certPEM,
		"tls-key-file":          keyPEM,
		"tls-client-ca-file":    ca.PEM(),
		"allowed-callers-file":  []byte("localhost"),
	} {
		fill(t, filepath.Join(dir, flag), string(content))
		args = append(args, "--"+flag, filepath.Join(dir, flag))
	}
	quash, addrs, err := proctest.Serve("quash", nil, args...)
	must(t, err)
	t.Cleanup(quash.Kill)
	secure := &tls.Config{RootCAs: pkitest.Pool(ca), ServerName: "localhost", Certificates: []tls.Certificate{pair}}
	for _, call := range []struct {
		consistency slashid.Consistency
		status      int
	}{
		{slashid.LocalRegion, http.StatusNoContent},
		{slashid.AllRegions, http.StatusRequestTimeout},
		{slashid.LocalRegion, http.StatusServiceUnavailable},
		{slashid.LocalRegion, http.StatusServiceUnavailable},
	} {
		got, text, err := request(secure, []string{
			"-H", slashid.HeaderConsistency + ": " + string(call.consistency), "POST", "https://" + addrs.HTTP + "/token/revoke", `{"token":"a"}`,
		})
		if must(t, err); got != call.status {
			t.Errorf("%s, want %d", text, call.status)
		}
	}
	_, scrape, err := request(nil, []string{"GET", "http://" + addrs.Admin + "/metrics"})
	must(t, err)
	_, body, _ := strings.Cut(scrape, "\n\n")
	parser := expfmt.NewTextParser(model.LegacyValidation)
	families, err := parser.TextToMetricFamilies(strings.NewReader(body))
	must(t, err)
	return families
}

func renderMetrics(families map[string]*dto.MetricFamily) string {
	var b strings.Builder
	b.WriteString(`<!-- Written by make docs from a scrape of quash. -->
# Metrics

These are the metrics that Prometheus scrapes from ` + "`/metrics`" + ` of the admin listener. Their names over
OTLP have dots instead of underscores, and no unit and no ` + "`_total`" + ` at the end. A label that does not
apply is absent: an error has no ` + "`quash_outcome`" + `, and a request that could not be read has no
` + "`quash_consistency`" + `. [Outcomes](../outcomes.md) explains the reasons and states.

The Go runtime and process metrics, ` + "`go_*` and `process_*`" + `, are there too.

| metric | type | labels | description |
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

// renderLabels lists the labels of a metric, with the values of quash's own labels.
func renderLabels(family *dto.MetricFamily) string {
	values := map[string][]string{}
	for _, metric := range family.GetMetric() {
		for _, label := range metric.GetLabel() {
			values[label.GetName()] = append(values[label.GetName()], label.GetValue())
		}
	}
	var labels []string
	for _, name := range slices.Sorted(maps.Keys(values)) {
		text := "`" + name + "`"
		if strings.HasPrefix(name, "quash_") {
			slices.Sort(values[name])
			text += ": " + strings.Join(slices.Compact(values[name]), ", ")
		}
		labels = append(labels, text)
	}
	return strings.Join(labels, "; ")
}

package e2e

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	collectormetrics "go.opentelemetry.io/proto/otlp/collector/metrics/v1"
	collectortrace "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	tracev1 "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/proto"

	quashv1 "github.com/quashdev/quash/gen/quash/v1"
)

// collector receives what a process exports over OTLP.
type collector struct {
	url  string
	look func(text string) // receives every export

	mu      sync.Mutex
	spans   []*tracev1.Span
	metrics map[string]bool // the names
}

func startCollector(t *testing.T, look func(text string)) *collector {
	t.Helper()
	c := &collector{look: look, metrics: map[string]bool{}}
	s := httptest.NewServer(c)
	t.Cleanup(s.Close)
	c.url = s.URL
	return c
}

// environment returns variables that make a process export to the collector at short
// intervals.
func (c *collector) environment() []string {
	return []string{"OTEL_EXPORTER_OTLP_ENDPOINT=" + c.url, "OTEL_BSP_SCHEDULE_DELAY=50", "OTEL_METRIC_EXPORT_INTERVAL=500"}
}

func (c *collector) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err == nil {
		err = c.take(r.URL.Path, body)
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	w.Header().Set("Content-Type", "application/x-protobuf") // of an empty message
}

func (c *collector) take(path string, body []byte) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.look(string(body)) // protobuf does not encode strings
	switch path {
	case "/v1/traces":
		var got collectortrace.ExportTraceServiceRequest
		if err := proto.Unmarshal(body, &got); err != nil {
			return err
		}
		for _, resource := range got.GetResourceSpans() {
			for _, scope := range resource.GetScopeSpans() {
				c.spans = append(c.spans, scope.GetSpans()...)
			}
		}
		return nil
	case "/v1/metrics":
		var got collectormetrics.ExportMetricsServiceRequest
		if err := proto.Unmarshal(body, &got); err != nil {
			return err
		}
		for _, resource := range got.GetResourceMetrics() {
			for _, scope := range resource.GetScopeMetrics() {
				for _, metric := range scope.GetMetrics() {
					c.metrics[metric.GetName()] = true
				}
			}
		}
		return nil
	default:
		return fmt.Errorf("unexpected export to %s", path)
	}
}

// has reports whether metrics with these names have been exported.
func (c *collector) has(names ...string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return !slices.ContainsFunc(names, func(name string) bool { return !c.metrics[name] })
}

// checkMany fails unless many spans and metrics were exported. Otherwise a scan of them proves
// nothing.
func (c *collector) checkMany(t *testing.T) {
	t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.spans) < 200 || len(c.metrics) < 10 {
		t.Errorf("only %d spans and %d metrics were exported", len(c.spans), len(c.metrics))
	}
}

// children returns the child spans of a span, by start time.
func (c *collector) children(trace, parent string) (spans []*tracev1.Span) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, span := range c.spans {
		if hex.EncodeToString(span.GetTraceId()) == trace && hex.EncodeToString(span.GetParentSpanId()) == parent {
			spans = append(spans, span)
		}
	}
	slices.SortFunc(spans, func(a, b *tracev1.Span) int {
		return int(int64(a.GetStartTimeUnixNano()) - int64(b.GetStartTimeUnixNano()))
	})
	return spans
}

// attributes returns the attributes of a span as text.
func attributes(span *tracev1.Span) map[string]string {
	all := map[string]string{}
	for _, attr := range span.GetAttributes() {
		all[attr.GetKey()] = attr.GetValue().GetStringValue()
		if all[attr.GetKey()] == "" {
			all[attr.GetKey()] = strconv.FormatInt(attr.GetValue().GetIntValue(), 10)
		}
	}
	return all
}

// revoke makes a call and ignores its result.
func (q *instance) revoke(t *testing.T, transport, token string, header ...string) {
	t.Helper()
	if transport != overGRPC {
		send(t, http.MethodPost, q.url()+pathOf[transport], fmt.Sprintf(`{"token":%q}`, token), header...)
		return
	}
	ctx := metadata.AppendToOutgoingContext(t.Context(), header...)
	_, _ = quashv1.NewTokenServiceClient(q.dial(t)).Revoke(ctx, &quashv1.RevokeRequest{Token: token})
}

// A caller's trace continues with a span for the call and one for each attempt. Pending spans
// are exported at shutdown.
func TestTraces(t *testing.T) {
	t.Parallel()
	c := startCollector(t, func(string) {})
	q := dev(t, c.environment())
	const parent = "b7ad6b7169203331"
	traces := map[string]string{}
	for i, transport := range transports {
		token := q.mint(t)
		traces[transport] = fmt.Sprintf("0af7651916cd43dd8448eb211c8031%02x", i)
		q.control(t, http.MethodPost, "faults", `{"status":503}`)
		q.revoke(t, transport, token, "traceparent", "00-"+traces[transport]+"-"+parent+"-01", "tracestate", "vendor="+token)
	}
	q.stop(t)
	for transport, label := range map[string]string{overGRPC: "grpc", overNative: "native", overDropIn: "drop_in"} {
		calls := c.children(traces[transport], parent)
		if len(calls) != 1 {
			t.Fatalf("%s: %d spans of the call", transport, len(calls))
		}
		call, got := calls[0], attributes(calls[0])
		if call.GetName() != "quash.v1.TokenService/Revoke" || call.GetKind() != tracev1.Span_SPAN_KIND_SERVER || call.GetTraceState() != "" ||
			got["quash.endpoint"] != label || got["quash.outcome"] != "REVOKED" || got["quash.consistency"] != "LOCAL_REGION" ||
			got["rpc.response.status_code"] != "OK" {
			t.Errorf("%s: the call's span is %q with %v", transport, call.GetName(), got)
		}
		attempts := c.children(traces[transport], hex.EncodeToString(call.GetSpanId()))
		if len(attempts) != 2 {
			t.Fatalf("%s: %d spans of attempts", transport, len(attempts))
		}
		for i, status := range []string{"503", "204"} {
			attempt, got := attempts[i], attributes(attempts[i])
			if attempt.GetName() != "POST /token/revoke" || attempt.GetKind() != tracev1.Span_SPAN_KIND_CLIENT ||
				got["http.response.status_code"] != status || attempt.GetTraceState() != "" {
				t.Errorf("%s: attempt %d is %q with %v", transport, i+1, attempt.GetName(), got)
			}
		}
	}
}

// Metrics are exported, and the log contains the trace id.
func TestMetricsAreExported(t *testing.T) {
	t.Parallel()
	c := startCollector(t, func(string) {})
	q := dev(t, append(c.environment(), "QUASH_LOG_FORMAT=json"))
	const trace = "4bf92f3577b34da6a3ce929d0e0e4736"
	q.revoke(t, overDropIn, "not-a-token", "traceparent", "00-"+trace+"-00f067aa0ba902b7-01")
	eventually(t, "metrics are exported", func() bool { return c.has("quash.revocations", "rpc.server.call.duration") })
	q.stop(t)
	for line := range strings.Lines(q.Stderr.String()) {
		if !strings.Contains(line, `"revocation failed"`) {
			continue
		}
		var got map[string]any
		if err := json.Unmarshal([]byte(line), &got); err != nil {
			t.Fatal(err)
		}
		for name, want := range map[string]any{
			"level": "INFO", "endpoint": "drop_in", "code": "InvalidArgument", "reason": "TOKEN_REJECTED", "state": "NOT_APPLIED",
			"consistency": "LOCAL_REGION", "attempts": 1.0, "upstream_status": 400.0, "timeout": 30e9, "trace_id": trace,
		} {
			if got[name] != want {
				t.Errorf("%s is %v, want %v", name, got[name], want)
			}
		}
		for _, name := range []string{"elapsed", "correlation_id", "peer"} {
			if got[name] == nil {
				t.Errorf("%s is missing: %s", name, line)
			}
		}
		return
	}
	t.Errorf("the log does not contain the failed revocation:\n%s", q)
}

// Calls succeed although the collector rejects every export. The failure is logged.
func TestCollectorRejectsExports(t *testing.T) {
	t.Parallel()
	c := startCollector(t, func(string) {})
	q := dev(t, append(c.environment(), "OTEL_EXPORTER_OTLP_ENDPOINT="+c.url+"/nowhere"))
	resp, text := send(t, http.MethodPost, q.url()+dropInPath, fmt.Sprintf(`{"token":%q}`, q.mint(t)))
	if resp.StatusCode != http.StatusNoContent {
		t.Errorf("%s: %s", resp.Status, text)
	}
	q.stop(t)
	if !strings.Contains(q.Stderr.String(), "level=WARN") {
		t.Errorf("no warning is logged:\n%s", q.Stderr)
	}
}

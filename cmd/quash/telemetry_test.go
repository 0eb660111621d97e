package main

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"

	tracev1 "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"

	quashv1 "github.com/quashdev/quash/gen/quash/v1"
)

// observedDev is a quash dev that exports to a collector.
type observedDev struct {
	*process

	addrs  map[string]string
	tokens []string
}

func startObservedDev(t *testing.T, environment []string) *observedDev {
	t.Helper()
	p := newProcess([]string{
		"quash", "dev", "--sandbox-addr", "127.0.0.1:0",
		"--grpc-addr", "127.0.0.1:0", "--http-addr", "127.0.0.1:0", "--admin-addr", "127.0.0.1:0",
	})
	p.cmd.Env = append(os.Environ(), environment...)
	if err := p.start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.kill)
	addrs, err := p.awaitServing()
	if err != nil {
		t.Fatal(err)
	}
	d := &observedDev{process: p, addrs: addrs}
	d.tokens = strings.Fields(d.send(t, http.MethodPost, addrs["SANDBOX"]+"/_sandbox/tokens?count=20", nil, ""))
	return d
}

// send makes a request of HTTP, and returns the answer's body.
func (d *observedDev) send(t *testing.T, method, url string, header map[string]string, body string) string {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Close = true
	req.Header.Set("Content-Type", "application/json")
	for name, value := range header {
		req.Header.Set(name, value)
	}
	resp, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(answer)
}

// revoke asks at a door for the revocation of a token, and does not mind the answer.
func (d *observedDev) revoke(t *testing.T, door, token string, header map[string]string) {
	t.Helper()
	if door != doorGRPC {
		d.send(t, http.MethodPost, "http://"+d.addrs["HTTP"]+paths[door], header, fmt.Sprintf(`{"token":%q}`, token))
		return
	}
	conn, err := grpc.NewClient(d.addrs["GRPC"], grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	ctx := metadata.NewOutgoingContext(t.Context(), metadata.New(header))
	_, _ = quashv1.NewTokenServiceClient(conn).Revoke(ctx, &quashv1.RevokeRequest{Token: token})
}

// terminate ends the process as Kubernetes would.
func (d *observedDev) terminate(t *testing.T) {
	t.Helper()
	if err := d.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	<-d.ended
	if fate := d.fate(); fate != "0" {
		t.Errorf("it ends with %s\n%s", fate, d)
	}
}

// A caller's trace goes on through either door, with one span for the call and one
// for each attempt, to SlashID. What is left to export when quash ends is exported.
func TestTraces(t *testing.T) {
	t.Parallel()
	c := startCollector(t, func(string, string) {})
	d := startObservedDev(t, c.environment())
	// Each door has a trace, whose call takes two attempts; the second has the answer.
	traces := map[string]string{}
	for i, door := range doors {
		traces[door] = fmt.Sprintf("0af7651916cd43dd8448eb211c8031%02x", i)
		d.send(t, http.MethodPost, d.addrs["SANDBOX"]+"/_sandbox/faults", nil, `{"status":503}`)
		d.revoke(t, door, d.tokens[i], map[string]string{
			"traceparent": "00-" + traces[door] + "-b7ad6b7169203331-01",
			"tracestate":  "vendor=" + d.tokens[i],
		})
	}
	d.terminate(t)
	for door, name := range map[string]string{doorGRPC: "grpc", doorNative: "native", doorDropIn: "drop_in"} {
		spans := c.trace(traces[door])
		if testing.Verbose() {
			t.Logf("%s:\n%s", door, drawTrace(spans, "b7ad6b7169203331", ""))
		}
		calls := spans["b7ad6b7169203331"]
		if len(calls) != 1 {
			t.Errorf("%s: %d spans of the call", door, len(calls))
			continue
		}
		call := calls[0]
		got := attributes(call)
		if call.GetName() != "quash.v1.TokenService/Revoke" || call.GetKind() != tracev1.Span_SPAN_KIND_SERVER ||
			got["quash.door"] != name || got["quash.outcome"] != "REVOKED" || got["quash.consistency"] != "LOCAL_REGION" ||
			got["rpc.response.status_code"] != "OK" || call.GetTraceState() != "" {
			t.Errorf("%s: the call's span is %q with %v", door, call.GetName(), got)
		}
		attempts := spans[hex.EncodeToString(call.GetSpanId())]
		slices.SortFunc(attempts, func(a, b *tracev1.Span) int {
			return int(int64(a.GetStartTimeUnixNano()) - int64(b.GetStartTimeUnixNano()))
		})
		if len(attempts) != 2 {
			t.Errorf("%s: %d spans of attempts", door, len(attempts))
			continue
		}
		for i, status := range []string{"503", "204"} {
			got := attributes(attempts[i])
			if attempts[i].GetName() != "POST /token/revoke" || attempts[i].GetKind() != tracev1.Span_SPAN_KIND_CLIENT ||
				got["http.response.status_code"] != status || attempts[i].GetTraceState() != "" {
				t.Errorf("%s: attempt %d is %q with %v", door, i+1, attempts[i].GetName(), got)
			}
		}
	}
}

// drawTrace is a trace as text, from the spans of a parent on.
func drawTrace(spans map[string][]*tracev1.Span, parent, indent string) string {
	var b strings.Builder
	for _, span := range spans[parent] {
		fmt.Fprintf(&b, "%s%s %s %s\n", indent, span.GetKind(), span.GetName(), hex.EncodeToString(span.GetSpanId()))
		attrs := attributes(span)
		for _, name := range slices.Sorted(maps.Keys(attrs)) {
			fmt.Fprintf(&b, "%s    %s = %s\n", indent, name, attrs[name])
		}
		b.WriteString(drawTrace(spans, hex.EncodeToString(span.GetSpanId()), indent+"  "))
	}
	return b.String()
}

// Metrics are exported too, those that Prometheus is given. The log has the trace's id.
func TestMetricsAreExported(t *testing.T) {
	t.Parallel()
	c := startCollector(t, func(string, string) {})
	d := startObservedDev(t, append(c.environment(), "QUASH_LOG_FORMAT=json"))
	const trace = "4bf92f3577b34da6a3ce929d0e0e4736"
	d.revoke(t, doorDropIn, "not-a-token", map[string]string{"traceparent": "00-" + trace + "-00f067aa0ba902b7-01"})
	c.await(t, func() bool { return c.metrics["quash.revocations"] && c.metrics["rpc.server.call.duration"] })
	d.terminate(t)
	lines := bytes.Split([]byte(d.stderr.String()), []byte("\n"))
	line := slices.IndexFunc(lines, func(line []byte) bool { return bytes.Contains(line, []byte(`"revocation failed"`)) })
	if line < 0 {
		t.Fatalf("no line tells of it:\n%s", d.stderr)
	}
	var got map[string]any
	if err := json.Unmarshal(lines[line], &got); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]any{
		"level": "INFO", "door": "drop_in", "code": "InvalidArgument", "reason": "TOKEN_REJECTED", "state": "NOT_APPLIED",
		"consistency": "LOCAL_REGION", "attempts": 1.0, "upstream_status": 400.0, "timeout": 30e9, "trace_id": trace,
	} {
		if got[name] != want {
			t.Errorf("%s is %v, want %v", name, got[name], want)
		}
	}
	for _, name := range []string{"elapsed", "correlation_id", "peer"} {
		if got[name] == nil {
			t.Errorf("%s is missing: %s", name, lines[line])
		}
	}
}

// A collector that takes nothing is told of, and costs nothing else.
func TestCollectorRefuses(t *testing.T) {
	t.Parallel()
	c := startCollector(t, func(string, string) {})
	d := startObservedDev(t, append(c.environment(), "OTEL_EXPORTER_OTLP_ENDPOINT="+c.url+"/nowhere"))
	d.revoke(t, doorDropIn, d.tokens[0], nil)
	d.terminate(t)
	if !strings.Contains(d.stderr.String(), "telemetry is not as it should be") &&
		!strings.Contains(d.stderr.String(), "the last spans or metrics could not be sent") {
		t.Errorf("nothing is said of it:\n%s", d.stderr)
	}
}

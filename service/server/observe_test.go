package server_test

import (
	"context"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"strings"
	"testing"

	"go.opentelemetry.io/otel/attribute"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"google.golang.org/grpc"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"

	quashv1 "github.com/quashdev/quash/gen/quash/v1"
	"github.com/quashdev/quash/internal/pkitest"
	"github.com/quashdev/quash/internal/quashtest"
	"github.com/quashdev/quash/internal/telemetry"
	"github.com/quashdev/quash/internal/upstreamtest"
	"github.com/quashdev/quash/service"
	"github.com/quashdev/quash/service/server"
	"github.com/quashdev/quash/service/slashid"
)

// Every call is counted once, by the result that its caller received, and has one line in the
// log, even if it does not reach the service. An RPC also has a span and a duration, by its
// code.
func TestCallsAreObserved(t *testing.T) {
	t.Parallel()
	const own = `{"token":"a"}`
	var (
		tooLarge   = strings.Repeat("a", 200_000)
		revoked    = slashid.Result{Status: http.StatusNoContent}
		rejected   = slashid.Result{Status: http.StatusBadRequest, Envelope: true}
		unexpected = slashid.Result{Status: http.StatusTeapot}
		notAsked   slashid.Result
	)
	for _, tt := range []struct {
		name   string
		answer slashid.Result
		call   func(t *testing.T, f *facade)
		want   string
		rpc    string // the labels of the duration; "" without an RPC
	}{
		{"gRPC", revoked, revokeOverGRPC("a"), "LOCAL_REGION grpc REVOKED", "OK"},
		{"native", revoked, postJSON(nativePath, own), "LOCAL_REGION native REVOKED", "OK"},
		{"drop-in", revoked, postJSON(dropInPath, own), "LOCAL_REGION drop_in REVOKED", "OK"},
		{"another level", revoked, postJSON(nativePath, `{"token":"a","consistency":2}`), "ALL_REGIONS native REVOKED", "OK"},
		{"already invalid", rejected, postJSON(nativePath, `{"token":"a","allowInvalid":true}`), "LOCAL_REGION native ALREADY_INVALID", "OK"},
		{"rejected", rejected, revokeOverGRPC("a"), "LOCAL_REGION grpc TOKEN_REJECTED NOT_APPLIED", "INVALID_ARGUMENT"},
		{"unknown", unexpected, postJSON(dropInPath, own), "LOCAL_REGION drop_in UPSTREAM_UNEXPECTED_RESPONSE UNKNOWN", "error INTERNAL"},
		{"a broken rule", notAsked, revokeOverGRPC(""), "grpc INVALID_REQUEST NOT_APPLIED", "INVALID_ARGUMENT"},
		{"too large for gRPC", notAsked, revokeOverGRPC(tooLarge), "grpc INVALID_REQUEST NOT_APPLIED", "RESOURCE_EXHAUSTED"},
		{"too large for REST", notAsked, postJSON(nativePath, tooLarge), "native INVALID_REQUEST NOT_APPLIED", ""},
		{"no JSON", notAsked, postJSON(dropInPath, "{"), "drop_in INVALID_REQUEST NOT_APPLIED", ""},
		{"no message", notAsked, cancelBeforeMessage, "grpc CALLER_CANCELLED NOT_APPLIED", "CANCELLED"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			reader, spans := sdkmetric.NewManualReader(), tracetest.NewSpanRecorder()
			observed := telemetry.None()
			observed.Meters = sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader))
			observed.Tracers = sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(spans))
			var log lockedBuffer
			f := startFacade(t, upstreamtest.Func(func(_ context.Context, req slashid.Request) slashid.Result {
				result := tt.answer
				result.Sent = req.BeforeSend()
				return result
			}), func(_ *service.Config, cfg *server.Config) {
				cfg.Telemetry = observed
				cfg.Logger = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
			})
			if before, ok := collect(t, reader)["quash.revocations "+tt.want]; !ok || before != 0 {
				t.Errorf("%q is not exported as 0 before the first call", tt.want)
			}
			tt.call(t, f)
			f.Stop()
			want := map[string]int64{"quash.revocations " + tt.want: 1}
			if tt.rpc != "" {
				want["rpc.server.call.duration "+tt.rpc] = 1
			}
			got := collect(t, reader)
			maps.DeleteFunc(got, func(_ string, n int64) bool { return n == 0 })
			if !maps.Equal(got, want) {
				t.Errorf("counted %v, want %v", got, want)
			}
			if got := strings.Count(log.String(), "msg=\"revocation "); got != 1 {
				t.Errorf("%d lines:\n%s", got, &log)
			}
			var spansOfCall []string
			for _, span := range spans.Ended() {
				spansOfCall = append(spansOfCall, span.Name())
			}
			if want := map[bool]int{true: 1}[tt.rpc != ""]; len(spansOfCall) != want || want == 1 && spansOfCall[0] != "quash.v1.TokenService/Revoke" {
				t.Errorf("spans %q, want %d", spansOfCall, want)
			}
		})
	}
}

func revokeOverGRPC(token string) func(*testing.T, *facade) {
	return func(t *testing.T, f *facade) {
		t.Helper()
		_, _ = f.grpc.Revoke(t.Context(), &quashv1.RevokeRequest{Token: token})
	}
}

func postJSON(path, body string) func(*testing.T, *facade) {
	return func(t *testing.T, f *facade) {
		t.Helper()
		f.post(t, path, jsonHeader, []byte(body))
	}
}

// cancelBeforeMessage sends the header of a call and cancels it.
func cancelBeforeMessage(t *testing.T, f *facade) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	if _, err := f.Conn.NewStream(ctx, &grpc.StreamDesc{ClientStreams: true}, quashv1.TokenService_Revoke_FullMethodName); err != nil {
		t.Fatal(err)
	}
	// The response to a later call on the connection shows that the header has arrived.
	if _, err := healthv1.NewHealthClient(f.Conn).Check(t.Context(), &healthv1.HealthCheckRequest{}); err != nil {
		t.Error(err)
	}
}

// collect returns the counts of calls and of durations, by name and labels.
func collect(t *testing.T, reader sdkmetric.Reader) map[string]int64 {
	t.Helper()
	var all metricdata.ResourceMetrics
	if err := reader.Collect(context.WithoutCancel(t.Context()), &all); err != nil {
		t.Fatal(err)
	}
	counts := map[string]int64{}
	add := func(metric string, labels attribute.Set, n int64) {
		for _, label := range labels.ToSlice() {
			switch label.Key {
			case "rpc.system.name", "rpc.method": // always the same
			case "error.type": // the code again
				metric += " error"
			default:
				metric += " " + label.Value.AsString()
			}
		}
		counts[metric] = n
	}
	for _, scope := range all.ScopeMetrics {
		for _, m := range scope.Metrics {
			switch data := m.Data.(type) {
			case metricdata.Sum[int64]:
				for _, p := range data.DataPoints {
					if m.Name == "quash.revocations" {
						add(m.Name, p.Attributes, p.Value)
					}
				}
			case metricdata.Histogram[float64]:
				for _, p := range data.DataPoints {
					if m.Name == "rpc.server.call.duration" {
						add(m.Name, p.Attributes, int64(p.Count))
					}
				}
			}
		}
	}
	return counts
}

// At every endpoint the log names the caller that the TLS handshake verified.
func TestCallersAreLogged(t *testing.T) {
	t.Parallel()
	ca := pkitest.NewCA("authority")
	r := startReplaceable(t, upstreamtest.Func(func(_ context.Context, req slashid.Request) slashid.Result {
		return slashid.Result{Status: http.StatusTeapot, Sent: req.BeforeSend()}
	}), ca, ca, 0)
	c := newCaller(t, r.facade, pkitest.Pool(ca), new(ca.Issue(&x509.Certificate{
		Subject:  pkix.Name{CommonName: "another name"},
		URIs:     pkitest.URIs(billing),
		DNSNames: []string{"billing.example.org"},
	})), nil)
	for _, q := range []*quashtest.Quash{c.http1, c.http2} {
		for _, endpoint := range quashtest.Endpoints {
			_, _ = q.Ask(t.Context(), endpoint, &quashv1.RevokeRequest{Token: "a.b.c"})
			r.log.await(t, ` endpoint=`+endpoint+` peer=127\.0\.0\.1:\d+ caller="\[\\"`+billing+`\\" \\"billing.example.org\\"\]" code=Internal`)
		}
	}
}

// At every endpoint a panic gets a fixed error text and is logged with its stack. Nothing of
// the request is shown, even if the panic's value contains it.
func TestPanic(t *testing.T) {
	t.Parallel()
	const token = "header123.claims456.signature789"
	var log lockedBuffer
	f := startFacade(t, upstreamtest.Func(func(_ context.Context, req slashid.Request) slashid.Result {
		panic(fmt.Errorf("no way to revoke %s", req.Token.Reveal()))
	}), func(_ *service.Config, cfg *server.Config) {
		cfg.Logger = slog.New(slog.NewTextHandler(&log, nil))
	})
	_, err := f.grpc.Revoke(t.Context(), &quashv1.RevokeRequest{Token: token})
	reason, state := reasonAndState(err)
	if st := status.Convert(err); st.Message() != "internal error" || reason != "INTERNAL" || state != "UNKNOWN" {
		t.Errorf("gRPC: %v", st.Proto())
	}
	var everything strings.Builder
	everything.WriteString(status.Convert(err).String())
	for _, path := range []string{nativePath, dropInPath} {
		resp, body := f.post(t, path, jsonHeader, []byte(`{"token":"`+token+`"}`))
		if resp.StatusCode != http.StatusInternalServerError || !strings.Contains(string(body), "internal error") {
			t.Errorf("%s: %d %s", path, resp.StatusCode, body)
		}
		fmt.Fprint(&everything, string(body), resp.Header)
	}
	logged := log.String()
	if got := strings.Count(logged, "msg=panic"); got != 3 || !strings.Contains(logged, "TestPanic") {
		t.Errorf("%d panics are logged, want 3 with their stack: %s", got, logged)
	}
	for part := range strings.SplitSeq(token, ".") {
		if strings.Contains(everything.String()+logged, part) {
			t.Errorf("%q leaked", part)
		}
	}
}

package server_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"strings"
	"testing"

	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"google.golang.org/grpc"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"

	quashv1 "github.com/quashdev/quash/gen/quash/v1"
	"github.com/quashdev/quash/internal/pkitest"
	"github.com/quashdev/quash/internal/telemetry"
	"github.com/quashdev/quash/internal/upstreamtest"
	"github.com/quashdev/quash/service"
	"github.com/quashdev/quash/service/server"
	"github.com/quashdev/quash/service/slashid"
)

// Every call is counted once, by what its caller was told, also where it does not get
// as far as to the service; and has its line in the log.
func TestCallsAreObserved(t *testing.T) {
	t.Parallel()
	const (
		json = "application/json"
		own  = `{"token":"a"}`
	)
	var (
		revoked    = slashid.Result{Sent: true, Status: http.StatusNoContent}
		rejected   = slashid.Result{Sent: true, Status: http.StatusBadRequest, Envelope: true}
		unexpected = slashid.Result{Sent: true, Status: http.StatusTeapot}
		notAsked   slashid.Result
	)
	for _, tt := range []struct {
		name string
		// answer is SlashID's; the zero value where it is not asked.
		answer slashid.Result
		call   func(t *testing.T, f *facade)
		want   string
	}{
		{"gRPC", revoked, revokeOverGRPC("a"), "LOCAL_REGION grpc REVOKED"},
		{"native", revoked, postTo("/v1/tokens:revoke", json, own), "LOCAL_REGION native REVOKED"},
		{"drop-in", revoked, postTo("/token/revoke", json, own), "LOCAL_REGION drop_in REVOKED"},
		{"another level", revoked, postTo("/v1/tokens:revoke", json, `{"token":"a","consistency":"CONSISTENCY_ALL_REGIONS"}`), "ALL_REGIONS native REVOKED"},
		{"already invalid", rejected, postTo("/v1/tokens:revoke", json, `{"token":"a","allowInvalid":true}`), "LOCAL_REGION native ALREADY_INVALID"},
		{"rejected", rejected, revokeOverGRPC("a"), "LOCAL_REGION grpc TOKEN_REJECTED NOT_APPLIED"},
		{"unknown", unexpected, postTo("/token/revoke", json, own), "LOCAL_REGION drop_in UPSTREAM_UNEXPECTED_RESPONSE UNKNOWN"},
		{"a rule", notAsked, revokeOverGRPC(""), "grpc INVALID_REQUEST NOT_APPLIED"},
		{"too large for gRPC", notAsked, revokeOverGRPC(strings.Repeat("a", 200_000)), "grpc INVALID_REQUEST NOT_APPLIED"},
		{"too large for REST", notAsked, postTo("/v1/tokens:revoke", json, `{"token":"`+strings.Repeat("a", 200_000)+`"}`), "native INVALID_REQUEST NOT_APPLIED"},
		{"no JSON", notAsked, postTo("/token/revoke", json, "{"), "drop_in INVALID_REQUEST NOT_APPLIED"},
		{"another type", notAsked, postTo("/v1/tokens:revoke", "text/plain", own), "native INVALID_REQUEST NOT_APPLIED"},
		{"no message", notAsked, cancelBeforeMessage, "grpc CALLER_CANCELLED NOT_APPLIED"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			reader := sdkmetric.NewManualReader()
			observed := telemetry.None()
			observed.Meters = sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader))
			var log lockedBuffer
			f := startFacade(t, upstreamtest.Func(func(_ context.Context, req slashid.Request) slashid.Result {
				result := tt.answer
				result.Sent = req.BeforeSend()
				return result
			}), func(_ *service.Config, cfg *server.Config) {
				cfg.Telemetry = observed
				cfg.Logger = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
			})
			if before, ok := revocations(t, reader)[tt.want]; !ok || before != 0 {
				t.Errorf("%q is not there before, at 0", tt.want)
			}
			tt.call(t, f)
			if err := f.stop(); err != nil {
				t.Error(err)
			}
			got := revocations(t, reader)
			maps.DeleteFunc(got, func(_ string, n int64) bool { return n == 0 })
			if len(got) != 1 || got[tt.want] != 1 {
				t.Errorf("counted %v, want %q", got, tt.want)
			}
			if got := strings.Count(log.String(), "msg=\"revocation "); got != 1 {
				t.Errorf("%d lines:\n%s", got, &log)
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

func postTo(path, contentType, body string) func(*testing.T, *facade) {
	return func(t *testing.T, f *facade) {
		t.Helper()
		f.post(t, path, http.Header{"Content-Type": {contentType}, telemetry.Header: {"\xfc is no trace"}}, []byte(body))
	}
}

// cancelBeforeMessage opens a stream, and no more.
func cancelBeforeMessage(t *testing.T, f *facade) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	if _, err := f.conn.NewStream(ctx, &grpc.StreamDesc{ClientStreams: true}, quashv1.TokenService_Revoke_FullMethodName); err != nil {
		t.Fatal(err)
	}
	// The answer to what comes after it shows that the header is there.
	if _, err := healthv1.NewHealthClient(f.conn).Check(t.Context(), &healthv1.HealthCheckRequest{}); err != nil {
		t.Error(err)
	}
}

// revocations are the counts of calls, by the values of their labels.
func revocations(t *testing.T, reader sdkmetric.Reader) map[string]int64 {
	t.Helper()
	var all metricdata.ResourceMetrics
	if err := reader.Collect(context.WithoutCancel(t.Context()), &all); err != nil {
		t.Fatal(err)
	}
	counts := map[string]int64{}
	for _, scope := range all.ScopeMetrics {
		for _, m := range scope.Metrics {
			data, ok := m.Data.(metricdata.Sum[int64])
			if !ok || m.Name != "quash.revocations" {
				continue
			}
			for _, p := range data.DataPoints {
				var name []string
				for _, label := range p.Attributes.ToSlice() {
					name = append(name, label.Value.AsString())
				}
				counts[strings.Join(name, " ")] = p.Value
			}
		}
	}
	return counts
}

// The log has who called, as the handshake proved it, at every door.
func TestCallersAreLogged(t *testing.T) {
	t.Parallel()
	ca := pkitest.NewCA("authority of callers")
	r := startReplaceable(t, upstreamtest.Func(func(_ context.Context, req slashid.Request) slashid.Result {
		return slashid.Result{Status: http.StatusTeapot, Sent: req.BeforeSend()}
	}), ca, tls.VersionTLS13)
	visits := r.open(t, ca.Issue(&x509.Certificate{
		Subject:  pkix.Name{CommonName: "nobody"},
		URIs:     pkitest.URIs("spiffe://example.org/billing"),
		DNSNames: []string{"billing.example.org"},
	}), nil)
	for _, d := range doors {
		if d.revokes {
			d.call(t, visits[d.by])
		}
	}
	for door, times := range map[string]int{"grpc": 1, "native": 2, "drop_in": 2} {
		line := ` door=` + door + ` peer=127\.0\.0\.1:\d+ caller="\[\\"spiffe://example.org/billing\\" \\"billing.example.org\\"\]" code=Internal`
		r.log.await(t, fmt.Sprintf(`(?s)(%s.*){%d}`, line, times))
	}
}

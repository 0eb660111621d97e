package telemetry_test

import (
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/quashdev/quash/internal/telemetry"
)

// What a credential for a collector can be part of does not get into the log, and what
// is wrong does.
func TestErrorsTellNoCredential(t *testing.T) {
	collector := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusUnauthorized)
		_, _ = io.WriteString(w, "unknown key:\n"+r.Header.Get("Api-Key"))
	}))
	defer collector.Close()
	for name, tt := range map[string]struct{ host, want string }{
		"refused":     {collector.Listener.Addr().String(), "401 Unauthorized"},
		"unreachable": {"127.0.0.1:0", "dial tcp 127.0.0.1:0"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://user:s3cret@"+tt.host+"/s3cret?key=s3cret")
			t.Setenv("OTEL_EXPORTER_OTLP_HEADERS", "api-key=s3cret")
			t.Setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "1000")
			observed, err := telemetry.New(t.Context(), "v1")
			if err != nil {
				t.Fatal(err)
			}
			counter, err := observed.Meters.Meter("test").Int64Counter("calls")
			if err != nil {
				t.Fatal(err)
			}
			counter.Add(t.Context(), 1)
			var log strings.Builder
			observed.Shutdown(t.Context(), slog.New(slog.NewTextHandler(&log, nil)))
			if got := log.String(); strings.Contains(got, "s3cret") || !strings.Contains(got, tt.want) || !strings.Contains(got, tt.host) {
				t.Errorf("logged %s", got)
			}
		})
	}
}

func TestErrorTextOfGRPC(t *testing.T) {
	t.Parallel()
	const want = "rpc error: code = Unauthenticated desc = [withheld]"
	if got := telemetry.ErrorText(status.Error(codes.Unauthenticated, "s3cret\nagain")); got != want {
		t.Errorf("got %q", got)
	}
}

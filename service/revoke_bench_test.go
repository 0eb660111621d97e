package service

import (
	"context"
	"net/http"
	"strings"
	"testing"

	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"google.golang.org/grpc/metadata"

	quashv1 "github.com/quashdev/quash/gen/quash/v1"
	"github.com/quashdev/quash/service/slashid"
)

// atOnce is an upstream that answers 204 at once.
type atOnce struct{}

func (atOnce) Revoke(_ context.Context, req slashid.Request) slashid.Result {
	return slashid.Result{Status: http.StatusNoContent, Sent: req.BeforeSend()}
}

// BenchmarkRevoke measures what the service adds to a call, with metrics, a deadline and the
// headers that callers send.
func BenchmarkRevoke(b *testing.B) {
	s, err := New(Config{
		Meter:    sdkmetric.NewMeterProvider(sdkmetric.WithReader(sdkmetric.NewManualReader())).Meter("quash"),
		Upstream: atOnce{},
		APIKey:   func() slashid.Secret { return slashid.NewSecret("key") },
	})
	if err != nil {
		b.Fatal(err)
	}
	ctx := metadata.NewIncomingContext(b.Context(), metadata.Pairs(
		":authority", "quash.internal", "content-type", "application/grpc", "user-agent", "grpc-go/1.0",
		MetadataSDKVersion, "1.2.3"))
	ctx, cancel := context.WithTimeout(ctx, MaxTimeout)
	defer cancel()
	req := &quashv1.RevokeRequest{Token: strings.Repeat("abcdefgh.-_", 93)}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := s.Revoke(ctx, req); err != nil {
			b.Fatal(err)
		}
	}
}

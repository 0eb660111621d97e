package e2e

import (
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/encoding/gzip"
	"google.golang.org/grpc/status"

	quashv1 "github.com/quashdev/quash/gen/quash/v1"
)

// Callers may compress requests. The limit holds for the uncompressed size.
func TestCompression(t *testing.T) {
	t.Parallel()
	q := dev(t, nil)
	client := quashv1.NewTokenServiceClient(q.dial(t))
	for token, want := range map[string]codes.Code{q.mint(t): codes.OK, strings.Repeat("a", 1<<20): codes.ResourceExhausted} {
		_, err := client.Revoke(t.Context(), &quashv1.RevokeRequest{Token: token}, grpc.UseCompressor(gzip.Name))
		if status.Code(err) != want {
			t.Errorf("%d bytes: %v, want %s", len(token), status.Code(err), want)
		}
	}
	q.stop(t)
}

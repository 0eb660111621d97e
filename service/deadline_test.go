package service

import (
	"testing"
	"time"

	"buf.build/go/protovalidate"
	"google.golang.org/protobuf/types/known/durationpb"

	quashv1 "github.com/quashdev/quash/gen/quash/v1"
)

func TestTimeoutWithin(t *testing.T) {
	t.Parallel()
	const ms = time.Millisecond
	for _, tt := range []struct {
		name                  string
		left, requested, want time.Duration
	}{
		{"a moment left", 1, 0, time.Second},
		{"half a second left", 480 * ms, 0, time.Second},
		{"a second left", time.Second, 0, time.Second},
		{"a fraction left is dropped", 2999 * ms, 0, 2 * time.Second},
		{"the default when nothing is asked for", time.Hour, 0, 30 * time.Second},
		{"the default shortened", 29 * time.Second, 0, 29 * time.Second},
		{"what is asked for", time.Hour, 7 * time.Second, 7 * time.Second},
		{"what is asked for, shortened", 6500 * ms, 7 * time.Second, 6 * time.Second},
		{"the most", time.Hour, 120 * time.Second, 120 * time.Second},
		{"beyond the most", time.Hour, time.Hour, 120 * time.Second},
	} {
		if got := timeoutWithin(tt.left, tt.requested); got != tt.want {
			t.Errorf("%s: %s, want %s", tt.name, got, tt.want)
		}
	}
}

// The rule in the proto and the arithmetic here state the same bounds.
func TestTimeoutBoundsAreTheProtos(t *testing.T) {
	t.Parallel()
	for timeout, want := range map[time.Duration]bool{
		MinTimeout - 1: false, MinTimeout: true, MaxTimeout: true, MaxTimeout + 1: false,
	} {
		err := protovalidate.Validate(&quashv1.RevokeRequest{Token: "a", Timeout: durationpb.New(timeout)})
		if (err == nil) != want {
			t.Errorf("%s: %v", timeout, err)
		}
	}
}

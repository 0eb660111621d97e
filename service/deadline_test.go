package service

import (
	"testing"
	"time"

	"buf.build/go/protovalidate"
	"google.golang.org/protobuf/types/known/durationpb"

	quashv1 "github.com/quashdev/quash/gen/quash/v1"
)

func TestPlanWithin(t *testing.T) {
	t.Parallel()
	const ms = time.Millisecond
	for _, tt := range []struct {
		name            string
		left, requested time.Duration
		want            schedule
		wantOK          bool
	}{
		{"nothing left", 0, 0, schedule{}, false},
		{"less than nothing left", -time.Second, 5 * time.Second, schedule{}, false},
		{"a moment left", 1, 0, schedule{time.Second, 1}, true},
		{"half a second left", 480 * ms, 0, schedule{time.Second, 480 * ms}, true},
		{"a second left", time.Second, 0, schedule{time.Second, time.Second}, true},
		{"a fraction left is dropped", 2999 * ms, 0, schedule{2 * time.Second, 2999 * ms}, true},
		{"the default when nothing is asked for", time.Hour, 0, schedule{30 * time.Second, time.Hour}, true},
		{"the default shortened", 29 * time.Second, 0, schedule{29 * time.Second, 29 * time.Second}, true},
		{"what is asked for", time.Hour, 7 * time.Second, schedule{7 * time.Second, time.Hour}, true},
		{"what is asked for, shortened", 6500 * ms, 7 * time.Second, schedule{6 * time.Second, 6500 * ms}, true},
		{"the most", time.Hour, 120 * time.Second, schedule{120 * time.Second, time.Hour}, true},
		{"beyond the most", time.Hour, time.Hour, schedule{120 * time.Second, time.Hour}, true},
	} {
		got, ok := planWithin(tt.left, tt.requested)
		if got != tt.want || ok != tt.wantOK {
			t.Errorf("%s: %v, %t, want %v, %t", tt.name, got, ok, tt.want, tt.wantOK)
		}
	}
}

func TestPlanUnbounded(t *testing.T) {
	t.Parallel()
	const grace = 5 * time.Second
	for requested, want := range map[time.Duration]schedule{
		0:                 {30 * time.Second, 35 * time.Second},
		time.Second:       {time.Second, 6 * time.Second},
		120 * time.Second: {120 * time.Second, 125 * time.Second},
	} {
		if got := planUnbounded(requested, grace); got != want {
			t.Errorf("%s: %v, want %v", requested, got, want)
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

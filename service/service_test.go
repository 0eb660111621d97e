package service

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.opentelemetry.io/otel/attribute"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"google.golang.org/grpc/codes"

	quashv1 "github.com/quashdev/quash/gen/quash/v1"
	"github.com/quashdev/quash/internal/upstreamtest"
	"github.com/quashdev/quash/service/slashid"
)

// measuredService is a service with a reader of its metrics.
type measuredService struct {
	*TokenService

	reader *sdkmetric.ManualReader
	// declared are the metrics at the start.
	declared map[string]float64
}

func newService(t *testing.T, upstream Upstream) measuredService {
	t.Helper()
	reader := sdkmetric.NewManualReader()
	s, err := New(Config{
		Meter:          sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader)).Meter("quash"),
		Upstream:       upstream,
		APIKey:         func() slashid.Secret { return slashid.NewSecret("key") },
		DeadlineMargin: 20 * time.Millisecond,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { // wait for revocations in the background
		s.Drain()
		if err := s.Wait(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
		s.inFlight.mu.Lock()
		defer s.inFlight.mu.Unlock()
		if n, retries := len(s.inFlight.revocations), s.inFlight.retries; n != 0 || retries != 0 {
			t.Errorf("%d revocations and %d retries are still counted", n, retries)
		}
	})
	measured := measuredService{TokenService: s, reader: reader}
	measured.declared = measured.metrics(t)
	return measured
}

// metrics returns the value of each counter and gauge, and the count of each histogram. A key
// is the name of the metric and the values of its labels.
func (s measuredService) metrics(t *testing.T) map[string]float64 {
	t.Helper()
	var all metricdata.ResourceMetrics
	if err := s.reader.Collect(context.WithoutCancel(t.Context()), &all); err != nil {
		t.Fatal(err)
	}
	values := map[string]float64{}
	for _, scope := range all.ScopeMetrics {
		for _, m := range scope.Metrics {
			set := func(labels attribute.Set, value float64) {
				name := []string{m.Name}
				for _, label := range labels.ToSlice() {
					name = append(name, label.Value.AsString())
				}
				values[strings.Join(name, " ")] = value
			}
			switch data := m.Data.(type) {
			case metricdata.Sum[int64]:
				for _, p := range data.DataPoints {
					set(p.Attributes, float64(p.Value))
				}
			case metricdata.Gauge[int64]:
				for _, p := range data.DataPoints {
					set(p.Attributes, float64(p.Value))
				}
			case metricdata.Gauge[float64]:
				for _, p := range data.DataPoints {
					set(p.Attributes, p.Value)
				}
			case metricdata.Histogram[float64]:
				for _, p := range data.DataPoints {
					set(p.Attributes, float64(p.Count))
				}
			default:
				t.Errorf("%s has an unknown type: %T", m.Name, data)
			}
		}
	}
	return values
}

// lateOutcomes returns the metrics of the revocations that finished in the background.
func (s measuredService) lateOutcomes(t *testing.T) map[string]float64 {
	t.Helper()
	late := map[string]float64{}
	for name, value := range s.metrics(t) {
		if result, ok := strings.CutPrefix(name, "quash.background.outcomes "); ok && value > 0 {
			late[result] = value
			if _, ok := s.declared[name]; !ok {
				t.Errorf("%s appears with its first event", name)
			}
		}
	}
	return late
}

// silent is an upstream that never answers. It is true if the request is sent, and false if
// it finds no connection.
func silent(sent bool) upstreamtest.Func {
	return func(ctx context.Context, req slashid.Request) slashid.Result {
		if sent && !req.BeforeSend() {
			return slashid.Result{Err: slashid.ErrNotSent}
		}
		<-ctx.Done()
		return slashid.Result{Sent: sent, NoConnection: !sent, Err: ctx.Err()}
	}
}

// If the upstream does not answer, the caller is answered at its deadline minus the margin, or
// at SlashID's timeout plus the grace, whichever is earlier. A token that was not sent is
// NOT_APPLIED.
func TestAnswerIsDue(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name     string
		deadline time.Duration // 0 means none
		want     time.Duration
	}{
		{"deadline", 10 * time.Second, 9980 * time.Millisecond},
		{"half a second", 500 * time.Millisecond, 480 * time.Millisecond},
		{"deadline beyond the timeout", time.Minute, 35 * time.Second},
		{"no deadline", 0, 35 * time.Second},
	} {
		for sent, state := range map[bool]quashv1.RevocationState{true: stateUnknown, false: stateNotApplied} {
			synctest.Test(t, func(t *testing.T) {
				ctx := t.Context()
				if tt.deadline != 0 {
					var cancel context.CancelFunc
					ctx, cancel = context.WithTimeout(ctx, tt.deadline)
					defer cancel()
				}
				begun := time.Now()
				_, err := newService(t, silent(sent)).Revoke(ctx, &quashv1.RevokeRequest{Token: "a"})
				took := time.Since(begun)
				failure := failureOf(t, err, codes.DeadlineExceeded, "UPSTREAM_TIMEOUT")
				if took != tt.want || failure.GetElapsed().AsDuration() != tt.want || failure.GetState() != state {
					t.Errorf("%s, sent %t: %v after %s, want %s after %s", tt.name, sent, failure, took, state, tt.want)
				}
			})
		}
	}
}

// The operator gets the cause, and callers do not.
func TestCauseIsReachableOnlyByUnwrapping(t *testing.T) {
	t.Parallel()
	cause := errors.New("dial tcp: connection refused")
	_, err := newService(t, upstreamtest.Func(func(context.Context, slashid.Request) slashid.Result {
		return slashid.Result{Err: cause}
	})).Revoke(t.Context(), &quashv1.RevokeRequest{Token: "a"})
	if !errors.Is(err, cause) {
		t.Errorf("%v does not lead to the cause", err)
	}
	if err.Error() != "SlashID cannot be reached" {
		t.Errorf("the text is %q", err)
	}
}

// quash uses either the caller's credentials or its own, and never mixes them.
func TestOwnKeyIsNotMixedWithForwardedCredentials(t *testing.T) {
	t.Parallel()
	got := make(chan slashid.Credentials, 1)
	s := newService(t, upstreamtest.Func(func(_ context.Context, req slashid.Request) slashid.Result {
		got <- req.Credentials
		return slashid.Result{Status: http.StatusNoContent, Sent: true}
	}))
	ctx := incoming(t, "slashid-api-key", "theirs", "authorization", "Bearer theirs", "slashid-orgid", "theirs")
	if _, err := s.Revoke(ctx, &quashv1.RevokeRequest{Token: "a"}); err != nil {
		t.Fatal(err)
	}
	if creds := <-got; creds.APIKey.Reveal() != "key" || !creds.Authorization.IsZero() || creds.OrgID != "" {
		t.Errorf("with a key of its own quash sends %v", creds)
	}
	s.cfg.APIKey = nil
	if _, err := s.Revoke(ctx, &quashv1.RevokeRequest{Token: "a"}); err != nil {
		t.Fatal(err)
	}
	if creds := <-got; creds.APIKey.Reveal() != "theirs" || creds.Authorization.Reveal() != "Bearer theirs" || creds.OrgID != "theirs" {
		t.Errorf("without a key quash sends %v", creds)
	}
}

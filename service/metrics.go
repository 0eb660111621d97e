package service

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/failsafe-go/failsafe-go/circuitbreaker"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	quashv1 "github.com/quashdev/quash/gen/quash/v1"
)

// WaitBuckets are the bounds of histograms of durations that may reach SlashID's
// 120 s, in seconds.
var WaitBuckets = []float64{0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 30, 45, 60, 90, 120}

// The attributes of metrics and spans. Their values are names of ours, of which
// there are few: nothing of a request gets into one.
const (
	attrResult       = attribute.Key("quash.result")
	attrConsistency  = attribute.Key("quash.consistency")
	attrOutcome      = attribute.Key("quash.outcome")
	attrReason       = attribute.Key("quash.reason")
	attrState        = attribute.Key("quash.state")
	attrBreakerState = attribute.Key("quash.breaker.state")
)

// metrics are what is measured of the work with SlashID. What callers are told is
// measured by the servers, which know the door.
type metrics struct {
	attempts metric.Int64Counter
	waited   metric.Float64Histogram
	late     metric.Int64Counter
}

// newMetrics declares the metrics of s.
func newMetrics(meter metric.Meter, s *TokenService) (*metrics, error) {
	var m metrics
	var failures []error
	must := func(err error) {
		if err != nil {
			failures = append(failures, err)
		}
	}
	var err error
	m.attempts, err = meter.Int64Counter("quash.upstream.attempts",
		metric.WithUnit("{attempt}"),
		metric.WithDescription("Attempts to revoke a token at SlashID, by what each came to."))
	must(err)
	m.waited, err = meter.Float64Histogram("quash.consistency.wait",
		metric.WithUnit("s"),
		metric.WithExplicitBucketBoundaries(WaitBuckets...),
		metric.WithDescription("How long SlashID took to reach the consistency, or to say that it had not."))
	must(err)
	m.late, err = meter.Int64Counter("quash.background.outcomes",
		metric.WithUnit("{revocation}"),
		metric.WithDescription("What became of revocations whose callers had gone: an outcome, or the reason of an error."))
	must(err)
	inFlight, err := meter.Int64ObservableUpDownCounter("quash.in_flight",
		metric.WithUnit("{revocation}"),
		metric.WithDescription("Revocations in progress, with their callers or without."))
	must(err)
	limit, err := meter.Int64ObservableUpDownCounter("quash.in_flight.limit",
		metric.WithUnit("{revocation}"),
		metric.WithDescription("How many may be in progress; more are refused."))
	must(err)
	background, err := meter.Int64ObservableUpDownCounter("quash.background.revocations",
		metric.WithUnit("{revocation}"),
		metric.WithDescription("Revocations in progress whose callers have gone."))
	must(err)
	oldest, err := meter.Float64ObservableGauge("quash.background.oldest",
		metric.WithUnit("s"),
		metric.WithDescription("The age of the oldest of them, 0 while there are none."))
	must(err)
	breaker, err := meter.Int64ObservableGauge("quash.breaker",
		metric.WithUnit("{state}"),
		metric.WithDescription("1 for the state that the circuit breaker is in, 0 for the others."))
	must(err)
	if len(failures) > 0 {
		return nil, fmt.Errorf("declare the metrics: %w", errors.Join(failures...))
	}
	_, err = meter.RegisterCallback(func(_ context.Context, o metric.Observer) error {
		o.ObserveInt64(inFlight, int64(s.inFlight.count()))
		o.ObserveInt64(limit, int64(s.inFlight.limit))
		n, begun := s.inFlight.background()
		o.ObserveInt64(background, int64(n))
		age := 0.0
		if n > 0 {
			age = time.Since(begun).Seconds()
		}
		o.ObserveFloat64(oldest, age)
		now := s.breaker.State()
		for state, name := range breakerStates {
			value := int64(0)
			if state == now {
				value = 1
			}
			o.ObserveInt64(breaker, value, metric.WithAttributes(attrBreakerState.String(name)))
		}
		return nil
	}, inFlight, limit, background, oldest, breaker)
	if err != nil {
		return nil, fmt.Errorf("observe the metrics: %w", err)
	}
	// As in AllLabels.
	for _, ofLevel := range attemptAttributes {
		for _, options := range ofLevel {
			m.attempts.Add(context.Background(), 0, options.add...)
		}
	}
	for o := range attemptAttributes[levels[0]] {
		for _, own := range []bool{true, false} {
			for _, invalidIsDead := range []bool{true, false} {
				for _, labels := range o.ofCall(own, invalidIsDead).labels(levelOfLate) {
					m.late.Add(context.Background(), 0, metric.WithAttributes(labels.Attributes()...))
				}
			}
		}
	}
	return &m, nil
}

// attemptOptions are the attributes of an attempt, as the two instruments want them.
type attemptOptions struct {
	add    []metric.AddOption
	record []metric.RecordOption
}

// attemptAttributes are those of attempts by level and outcome. They are made once,
// because making them takes longer than counting with them.
var attemptAttributes = func() map[quashv1.Consistency]map[outcome]attemptOptions {
	all := map[quashv1.Consistency]map[outcome]attemptOptions{}
	for _, level := range levels {
		all[level] = map[outcome]attemptOptions{}
		for o := revoked; int(o) < len(outcomes); o++ {
			if name := outcomes[o].result; name != "" {
				attrs := metric.WithAttributeSet(attribute.NewSet(attrConsistency.String(consistencyName(level)), attrResult.String(name)))
				all[level][o] = attemptOptions{[]metric.AddOption{attrs}, []metric.RecordOption{attrs}}
			}
		}
	}
	return all
}()

// levelOfLate is what the metric of late outcomes says of the level: nothing.
const levelOfLate = quashv1.Consistency_CONSISTENCY_UNSPECIFIED

var breakerStates = map[circuitbreaker.State]string{
	circuitbreaker.ClosedState:   "closed",
	circuitbreaker.HalfOpenState: "half_open",
	circuitbreaker.OpenState:     "open",
}

// attempt measures one attempt.
func (m *metrics) attempt(ctx context.Context, o outcome, level quashv1.Consistency, took time.Duration) {
	options := attemptAttributes[level][o]
	m.attempts.Add(ctx, 1, options.add...)
	switch o {
	case revoked, consistencyPending, consistencyUnknown:
		m.waited.Record(ctx, took.Seconds(), options.record...)
	default: // it did not wait for any
	}
}

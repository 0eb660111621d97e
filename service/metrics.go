package service

import (
	"context"
	"time"

	"github.com/failsafe-go/failsafe-go/circuitbreaker"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"google.golang.org/grpc/codes"

	quashv1 "github.com/quashdev/quash/gen/quash/v1"
)

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

// Labels are what metrics and spans say of how a call ended.
type Labels struct {
	// Outcome is that of a success.
	Outcome quashv1.Outcome
	// Reason and State are those of an error.
	Reason quashv1.ErrorReason
	State  quashv1.RevocationState
	// Consistency is the level that was asked for.
	Consistency quashv1.Consistency
}

// SuccessLabels are those of a success at a level.
func SuccessLabels(resp *quashv1.RevokeResponse, level quashv1.Consistency) Labels {
	return Labels{Outcome: resp.GetOutcome(), Consistency: level}
}

// Labels are those of the error.
func (e *Error) Labels() Labels {
	return Labels{Reason: e.row.reason, State: e.state, Consistency: e.summary.Consistency}
}

// Attributes are the labels as metrics and spans want them. Those that do not apply are
// left out.
func (l Labels) Attributes() (attrs []attribute.KeyValue) {
	if l.Consistency != quashv1.Consistency_CONSISTENCY_UNSPECIFIED {
		attrs = append(attrs, attrConsistency.String(consistencyName(l.Consistency)))
	}
	if l.Outcome != quashv1.Outcome_OUTCOME_UNSPECIFIED {
		return append(attrs, attrOutcome.String(OutcomeName(l.Outcome)))
	}
	return append(attrs, attrReason.String(reasonName(l.Reason)), attrState.String(stateName(l.State)))
}

// levels are those that a call may ask for.
var levels = []quashv1.Consistency{
	quashv1.Consistency_CONSISTENCY_LOCAL_REGION,
	quashv1.Consistency_CONSISTENCY_ALL_REGIONS,
}

// AllLabels are those of all ways for a call to end, for metrics that must be there before
// it happens: a series that appears with its first event cannot be seen to rise.
func AllLabels() (all []Labels) {
	for o := revoked; int(o) < len(outcomes); o++ {
		beforeLevel := o == callerNotAllowed || o == invalidRequest || o == internalDefect
		if !beforeLevel {
			for _, level := range levels {
				all = append(all, o.labels(level)...)
			}
		}
		if beforeLevel || o == callerCancelled || o == overloaded { // see CallerGone, Overloaded
			all = append(all, o.labels(quashv1.Consistency_CONSISTENCY_UNSPECIFIED)...)
		}
	}
	return all
}

// labels are those of calls that end like this, in each state that they may have: that
// of the table, and the one that it is instead where nothing was sent, or where an
// attempt before may have been applied.
func (o outcome) labels(level quashv1.Consistency) (all []Labels) {
	row := &outcomes[o]
	if row.code == codes.OK {
		return []Labels{{Outcome: row.outcome, Consistency: level}}
	}
	states := []quashv1.RevocationState{row.state}
	switch o {
	case noAnswer, callerCancelled, consistencyUnknown, upstreamUnavailable, upstreamUnexpected:
		states = append(states, stateNotApplied)
	case ownCredentialRejected, callerUnauthenticated, callerForbidden, rateLimited, neverConnected:
		states = append(states, stateUnknown)
	default: // has no other
	}
	for _, state := range states {
		all = append(all, Labels{Reason: row.reason, State: state, Consistency: level})
	}
	return all
}

// metrics are what is measured of the work with SlashID. The servers measure the answers
// to callers, because they know the transport.
type metrics struct {
	attempts metric.Int64Counter
	waited   metric.Float64Histogram
	late     metric.Int64Counter
}

// newMetrics declares the metrics of s. What can be wrong with an instrument is its name,
// and these are constant.
func newMetrics(meter metric.Meter, s *TokenService) *metrics {
	var m metrics
	m.attempts, _ = meter.Int64Counter("quash.upstream.attempts",
		metric.WithUnit("{attempt}"),
		metric.WithDescription("Attempts to revoke a token at SlashID, by what each came to."))
	m.waited, _ = meter.Float64Histogram("quash.consistency.wait",
		metric.WithUnit("s"),
		metric.WithDescription("How long SlashID took to reach the consistency, or to say that it had not."))
	m.late, _ = meter.Int64Counter("quash.background.outcomes",
		metric.WithUnit("{revocation}"),
		metric.WithDescription("What became of revocations whose callers had gone: an outcome, or the reason of an error."))
	_, _ = meter.Int64ObservableUpDownCounter("quash.in_flight",
		metric.WithUnit("{revocation}"),
		metric.WithDescription("Revocations in progress, with their callers or without."),
		observeInt(s.inFlight.count))
	_, _ = meter.Int64ObservableUpDownCounter("quash.in_flight.limit",
		metric.WithUnit("{revocation}"),
		metric.WithDescription("How many may be in progress; more are refused."),
		observeInt(func() int { return s.inFlight.limit }))
	_, _ = meter.Int64ObservableUpDownCounter("quash.background.revocations",
		metric.WithUnit("{revocation}"),
		metric.WithDescription("Revocations in progress whose callers have gone."),
		observeInt(func() int { n, _ := s.inFlight.background(); return n }))
	_, _ = meter.Float64ObservableGauge("quash.background.oldest",
		metric.WithUnit("s"),
		metric.WithDescription("The age of the oldest of them, 0 while there are none."),
		metric.WithFloat64Callback(func(_ context.Context, o metric.Float64Observer) error {
			age := time.Duration(0)
			if n, begun := s.inFlight.background(); n > 0 {
				age = time.Since(begun)
			}
			o.Observe(age.Seconds())
			return nil
		}))
	_, _ = meter.Int64ObservableGauge("quash.breaker",
		metric.WithUnit("{state}"),
		metric.WithDescription("1 for the state that the circuit breaker is in, 0 for the others."),
		metric.WithInt64Callback(func(_ context.Context, o metric.Int64Observer) error {
			now := s.breaker.State()
			for state, name := range breakerStates {
				value := int64(0)
				if state == now {
					value = 1
				}
				o.Observe(value, metric.WithAttributes(attrBreakerState.String(name)))
			}
			return nil
		}))
	// As in AllLabels.
	for o := revoked; int(o) < len(outcomes); o++ {
		if outcomes[o].result == "" {
			continue
		}
		for _, level := range levels {
			m.attempts.Add(context.Background(), 0, attemptAttributes(o, level))
		}
	}
	for _, labels := range AllLabels() {
		m.addLate(context.Background(), 0, labels)
	}
	return &m
}

func observeInt(value func() int) metric.Int64ObservableOption {
	return metric.WithInt64Callback(func(_ context.Context, o metric.Int64Observer) error {
		o.Observe(int64(value()))
		return nil
	})
}

var breakerStates = map[circuitbreaker.State]string{
	circuitbreaker.ClosedState:   "closed",
	circuitbreaker.HalfOpenState: "half_open",
	circuitbreaker.OpenState:     "open",
}

func attemptAttributes(o outcome, level quashv1.Consistency) metric.MeasurementOption {
	return metric.WithAttributes(attrConsistency.String(consistencyName(level)), attrResult.String(outcomes[o].result))
}

// recordAttempt measures one attempt.
func (m *metrics) recordAttempt(ctx context.Context, o outcome, level quashv1.Consistency, took time.Duration) {
	attrs := attemptAttributes(o, level)
	m.attempts.Add(ctx, 1, attrs)
	switch o {
	case revoked, consistencyPending, consistencyUnknown:
		m.waited.Record(ctx, took.Seconds(), attrs)
	default: // it did not wait for any
	}
}

// addLate counts outcomes of revocations whose callers had left. It leaves the level out,
// which would double the series and help little.
func (m *metrics) addLate(ctx context.Context, n int64, labels Labels) {
	labels.Consistency = quashv1.Consistency_CONSISTENCY_UNSPECIFIED
	m.late.Add(ctx, n, metric.WithAttributes(labels.Attributes()...))
}

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

// The attributes of metrics and spans. Their values are a small set of constant names, and
// never come from a request.
const (
	attrResult       = attribute.Key("quash.result")
	attrConsistency  = attribute.Key("quash.consistency")
	attrOutcome      = attribute.Key("quash.outcome")
	attrReason       = attribute.Key("quash.reason")
	attrState        = attribute.Key("quash.state")
	attrBreakerState = attribute.Key("quash.breaker.state")
)

// Labels describe in metrics and spans how a call ended.
type Labels struct {
	// Outcome is set for a success.
	Outcome quashv1.Outcome
	// Reason and State are set for an error.
	Reason quashv1.ErrorReason
	State  quashv1.RevocationState
	// Consistency is the requested level.
	Consistency quashv1.Consistency
}

// SuccessLabels returns the labels of a success at a level.
func SuccessLabels(resp *quashv1.RevokeResponse, level quashv1.Consistency) Labels {
	return Labels{Outcome: resp.GetOutcome(), Consistency: level}
}

// Labels returns the labels of the error.
func (e *Error) Labels() Labels {
	return Labels{Reason: e.row.reason, State: e.state, Consistency: e.summary.Consistency}
}

// Attributes returns the labels as OpenTelemetry attributes, without those that do not
// apply.
func (l Labels) Attributes() (attrs []attribute.KeyValue) {
	if l.Consistency != quashv1.Consistency_CONSISTENCY_UNSPECIFIED {
		attrs = append(attrs, attrConsistency.String(consistencyName(l.Consistency)))
	}
	if l.Outcome != quashv1.Outcome_OUTCOME_UNSPECIFIED {
		return append(attrs, attrOutcome.String(OutcomeName(l.Outcome)))
	}
	return append(attrs, attrReason.String(reasonName(l.Reason)), attrState.String(stateName(l.State)))
}

// levels are the consistency levels that a call can request.
var levels = []quashv1.Consistency{
	quashv1.Consistency_CONSISTENCY_LOCAL_REGION,
	quashv1.Consistency_CONSISTENCY_ALL_REGIONS,
}

// AllLabels returns the labels of every way in which a call can end. Metrics start with a 0
// for each: Prometheus cannot see the increase of a series that first appears with a 1.
func AllLabels() (all []Labels) {
	for o := revoked; int(o) < len(outcomes); o++ {
		beforeLevel := o == callerNotAllowed || o == invalidRequest || o == internalDefect
		if !beforeLevel {
			for _, level := range levels {
				all = append(all, o.labels(level)...)
			}
		}
		if beforeLevel || o == callerCancelled || o == overloaded { // see CallerCancelled, Overloaded
			all = append(all, o.labels(quashv1.Consistency_CONSISTENCY_UNSPECIFIED)...)
		}
	}
	return all
}

// labels returns the labels of calls with this outcome, one for each possible state: the
// state in the table, NOT_APPLIED if nothing was sent, and UNKNOWN if an earlier attempt may
// have been applied.
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
	default: // no other state is possible
	}
	for _, state := range states {
		all = append(all, Labels{Reason: row.reason, State: state, Consistency: level})
	}
	return all
}

// metrics measure the calls to SlashID. Package server measures the answers to callers,
// because it knows their transport.
type metrics struct {
	attempts metric.Int64Counter
	// labels caches the attribute sets of attempts: building one costs more than counting.
	labels map[attemptLabels]attemptOptions
	waited metric.Float64Histogram
	late   metric.Int64Counter
}

// newMetrics declares the metrics of s. It ignores the errors: only an invalid name causes
// one, and these names are constant.
func newMetrics(meter metric.Meter, s *TokenService) *metrics {
	m := metrics{labels: map[attemptLabels]attemptOptions{}}
	m.attempts, _ = meter.Int64Counter("quash.upstream.attempts",
		metric.WithUnit("{attempt}"),
		metric.WithDescription("Attempts to revoke a token at SlashID, by result."))
	m.waited, _ = meter.Float64Histogram("quash.consistency.wait",
		metric.WithUnit("s"),
		metric.WithDescription("Time until SlashID reached the consistency, or reported that it had not."))
	m.late, _ = meter.Int64Counter("quash.background.outcomes",
		metric.WithUnit("{revocation}"),
		metric.WithDescription("Revocations that finished in the background after their caller stopped waiting, by outcome, or by reason and state of the error."))
	_, _ = meter.Int64ObservableUpDownCounter("quash.in_flight",
		metric.WithUnit("{revocation}"),
		metric.WithDescription("Revocations in flight, including those in the background."),
		observeInt(s.inFlight.count))
	_, _ = meter.Int64ObservableUpDownCounter("quash.in_flight.limit",
		metric.WithUnit("{revocation}"),
		metric.WithDescription("Maximum number of revocations in flight; more are rejected."),
		observeInt(func() int { return s.inFlight.limit }))
	_, _ = meter.Int64ObservableUpDownCounter("quash.background.revocations",
		metric.WithUnit("{revocation}"),
		metric.WithDescription("Revocations in flight that continue in the background after their caller stopped waiting."),
		observeInt(func() int { n, _ := s.inFlight.background(); return n }))
	_, _ = meter.Float64ObservableGauge("quash.background.oldest",
		metric.WithUnit("s"),
		metric.WithDescription("Age of the oldest revocation in the background; 0 if there is none."),
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
		metric.WithDescription("State of the circuit breaker: 1 for the current state, 0 for the others."),
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
	// Start every series with a 0, see AllLabels.
	for o := revoked; int(o) < len(outcomes); o++ {
		if outcomes[o].result == "" {
			continue
		}
		for _, level := range levels {
			set := metric.WithAttributeSet(attribute.NewSet(
				attrConsistency.String(consistencyName(level)), attrResult.String(outcomes[o].result)))
			options := attemptOptions{[]metric.AddOption{set}, []metric.RecordOption{set}}
			m.labels[attemptLabels{o, level}] = options
			m.attempts.Add(context.Background(), 0, options.add...)
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

// attemptLabels are the labels of an attempt. Only outcomes with a result are attempts'.
type attemptLabels struct {
	outcome outcome
	level   quashv1.Consistency
}

type attemptOptions struct {
	add    []metric.AddOption
	record []metric.RecordOption
}

// recordAttempt counts an attempt, and measures how long SlashID took for the consistency.
func (m *metrics) recordAttempt(ctx context.Context, o outcome, level quashv1.Consistency, took time.Duration) {
	options := m.labels[attemptLabels{o, level}]
	m.attempts.Add(ctx, 1, options.add...)
	switch o {
	case revoked, consistencyPending, consistencyUnknown:
		m.waited.Record(ctx, took.Seconds(), options.record...)
	default: // SlashID did not wait for the consistency
	}
}

// addLate counts outcomes of revocations that finished in the background. It leaves out the
// consistency, which would double the number of series for little use.
func (m *metrics) addLate(ctx context.Context, n int64, labels Labels) {
	labels.Consistency = quashv1.Consistency_CONSISTENCY_UNSPECIFIED
	m.late.Add(ctx, n, metric.WithAttributes(labels.Attributes()...))
}

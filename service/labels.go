package service

import (
	"go.opentelemetry.io/otel/attribute"
	"google.golang.org/grpc/codes"

	quashv1 "github.com/quashdev/quash/gen/quash/v1"
)

// Labels are what metrics and spans say of how a call ended. There are few: nothing of a
// request gets into them.
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
	return Labels{Reason: e.row.reason, State: e.failure.GetState(), Consistency: e.failure.GetConsistency()}
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

// AllLabels are those of all ways for a call to end, for metrics that must be there before
// it happens: a series that appears with its first event cannot be seen to rise.
func AllLabels() (all []Labels) {
	for o := revoked; int(o) < len(outcomes); o++ {
		if !o.beforeLevel() {
			for _, level := range levels {
				all = append(all, o.labels(level)...)
			}
		}
		if o.beforeLevel() || o == callerCancelled || o == overloaded { // see CallerGone, Overloaded
			all = append(all, o.labels(quashv1.Consistency_CONSISTENCY_UNSPECIFIED)...)
		}
	}
	return all
}

// levels are those that a call may ask for.
var levels = []quashv1.Consistency{
	quashv1.Consistency_CONSISTENCY_LOCAL_REGION,
	quashv1.Consistency_CONSISTENCY_ALL_REGIONS,
}

// beforeLevel reports whether calls end like this before their level is known.
func (o outcome) beforeLevel() bool {
	return o == callerNotAllowed || o == invalidRequest || o == internalDefect
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

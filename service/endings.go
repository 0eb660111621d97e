package service

import (
	"go.opentelemetry.io/otel/attribute"
	"google.golang.org/grpc/codes"

	quashv1 "github.com/quashdev/quash/gen/quash/v1"
)

// Ending is how a call ended, by the names that metrics and spans have for it; what is
// not known or not so is empty. There are few: nothing of a request gets into one.
type Ending struct {
	Outcome string
	// Reason and State are those of an error.
	Reason, State string
	// Consistency is the level that was asked for.
	Consistency string
}

// EndingOf is what a caller was told, an answer or an error, of a call that asked for
// the given level.
func EndingOf(resp *quashv1.RevokeResponse, err *Error, level quashv1.Consistency) Ending {
	var ending Ending
	if level != quashv1.Consistency_CONSISTENCY_UNSPECIFIED {
		ending.Consistency = consistencyName(level)
	}
	if err != nil {
		ending.Reason, ending.State = err.Reason(), err.State()
		return ending
	}
	ending.Outcome = OutcomeName(resp.GetOutcome())
	return ending
}

// Attributes are those of metrics and spans.
func (e Ending) Attributes() []attribute.KeyValue {
	var attrs []attribute.KeyValue
	for _, attr := range []attribute.KeyValue{
		attrConsistency.String(e.Consistency),
		attrOutcome.String(e.Outcome),
		attrReason.String(e.Reason),
		attrState.String(e.State),
	} {
		if attr.Value.AsString() != "" {
			attrs = append(attrs, attr)
		}
	}
	return attrs
}

// Endings are all ways for a call to end, for metrics that must be there before it
// happens: a series that appears with its first event cannot be seen to rise.
func Endings() (all []Ending) {
	for s := revoked; int(s) < len(outcomes); s++ {
		if !s.beforeLevel() {
			for _, level := range levels {
				all = append(all, s.endings(level)...)
			}
		}
		if s.beforeLevel() || s == callerCancelled || s == overloaded { // see CallerGone, Overloaded
			all = append(all, s.endings(quashv1.Consistency_CONSISTENCY_UNSPECIFIED)...)
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
func (s situation) beforeLevel() bool {
	return s == callerNotAllowed || s == invalidRequest || s == internalDefect
}

// endings are those of calls that end like this, in each state that they may have: that
// of the table, and the one that it is instead where nothing was sent, or where an
// attempt before may have been applied.
func (s situation) endings(level quashv1.Consistency) []Ending {
	row := &outcomes[s]
	if row.code == codes.OK {
		return []Ending{EndingOf(&quashv1.RevokeResponse{Outcome: row.outcome}, nil, level)}
	}
	states := []quashv1.RevocationState{row.state}
	switch s {
	case noAnswer, callerCancelled:
		states = append(states, stateNotApplied)
	case ownCredentialRejected, callerUnauthenticated, callerForbidden, rateLimited, neverConnected:
		states = append(states, stateUnknown)
	default: // has no other
	}
	var all []Ending
	for _, state := range states {
		err := newError(s)
		err.failure.State = state
		all = append(all, EndingOf(nil, err, level))
	}
	return all
}

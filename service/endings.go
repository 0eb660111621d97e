package service

import (
	"go.opentelemetry.io/otel/attribute"
	"google.golang.org/grpc/codes"

	quashv1 "github.com/quashdev/quash/gen/quash/v1"
)

// Endings are the attributes of every way for a call to end, for metrics that must be
// there before it happens: a series that appears with its first event cannot be seen to
// rise.
func Endings() (all [][]attribute.KeyValue) {
	for s := revoked; int(s) < len(outcomes); s++ {
		for _, ending := range s.endings() {
			if !s.beforeLevel() {
				for _, level := range levels {
					all = append(all, append(ConsistencyAttributes(level), ending...))
				}
			}
			if s.beforeLevel() || s == callerCancelled || s == overloaded { // see CallerGone, Overloaded
				all = append(all, ending)
			}
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

// endings are the attributes of calls that end like this, in each state that they may
// have: that of the table, and the one that it is instead where nothing was sent, or
// where an attempt before may have been applied.
func (s situation) endings() [][]attribute.KeyValue {
	row := &outcomes[s]
	if row.code == codes.OK {
		return [][]attribute.KeyValue{OutcomeAttributes(&quashv1.RevokeResponse{Outcome: row.outcome}, nil)}
	}
	states := []quashv1.RevocationState{row.state}
	switch s {
	case noAnswer, callerCancelled:
		states = append(states, stateNotApplied)
	case ownCredentialRejected, callerUnauthenticated, callerForbidden, rateLimited, neverConnected:
		states = append(states, stateUnknown)
	default: // has no other
	}
	var all [][]attribute.KeyValue
	for _, state := range states {
		err := newError(s)
		err.failure.State = state
		all = append(all, OutcomeAttributes(nil, err))
	}
	return all
}

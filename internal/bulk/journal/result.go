package journal

import (
	"google.golang.org/grpc/codes"

	quashv1 "github.com/quashdev/quash/gen/quash/v1"
	"github.com/quashdev/quash/internal/bulk/tokenlist"
)

// Verdict is what is known of a line's token.
type Verdict uint8

// The numbers are in journals: new ones go to the end.
const (
	// Pending: nothing has been sent for the line yet.
	Pending Verdict = iota
	// Revoked: the token was revoked, and is dead.
	Revoked
	// AlreadyInvalid: the token could not be used before, or an earlier call has revoked
	// it. It is dead.
	AlreadyInvalid
	// Rejected: SlashID does not take it for a valid token, and did nothing.
	Rejected
	// InProgress: SlashID has accepted the revocation, and it is on its way.
	InProgress
	// Unknown: it was sent, and nobody knows what became of it.
	Unknown
	// NotApplied: it failed, and surely nothing was done.
	NotApplied
	// Problem: the line has no token.
	Problem
	// Duplicate: an earlier line has the same token, and what became of that holds here.
	Duplicate
	// Empty: there was nothing in the line, which Results leaves out.
	Empty

	// Verdicts is how many there are.
	Verdicts = iota
)

// Final reports whether nothing more is to be done for a line: its token is dead or
// rejected, or is an earlier line's, or there is none.
func (v Verdict) Final() bool {
	switch v {
	case Revoked, AlreadyInvalid, Rejected, Problem, Duplicate, Empty:
		return true
	case Pending, InProgress, Unknown, NotApplied:
	}
	return false
}

// Dead reports whether the token surely cannot be used any more.
func (v Verdict) Dead() bool { return v == Revoked || v == AlreadyInvalid }

// MaybeApplied reports whether the token may be dead, and nobody knows yet.
func (v Verdict) MaybeApplied() bool { return v == Unknown || v == InProgress }

// Result is what became of a line.
type Result struct {
	Verdict Verdict
	// Reason is the error's, ERROR_REASON_UNSPECIFIED if there was none or it told none.
	Reason quashv1.ErrorReason
	// Code is the call's.
	Code codes.Code
	// Attempts is how many calls were made, 65535 at most.
	Attempts int
	// First is the first line with the same token if this one is a Duplicate, else 0.
	First int64
	// Problem is that of a line which has no token, else "".
	Problem tokenlist.Problem
}

// Counts is how many lines there are of each Verdict.
type Counts [Verdicts]int64

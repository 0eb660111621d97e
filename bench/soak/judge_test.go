package main

import (
	"errors"
	"strings"
	"testing"
	"time"
)

// Where a token has been revoked.
var (
	inNone  = map[string]bool{localRegion: false, remoteRegion: false}
	inLocal = map[string]bool{localRegion: true, remoteRegion: false}
	inAll   = map[string]bool{localRegion: true, remoteRegion: true}
)

func TestJudge(t *testing.T) {
	t.Parallel()
	unreached := answer{code: "Unavailable", reason: "UPSTREAM_UNREACHABLE", state: stateNotApplied}
	pending := answer{code: "DeadlineExceeded", reason: "CONSISTENCY_TIMEOUT", state: stateInProgress}
	rejected := answer{code: "InvalidArgument", reason: reasonTokenRejected, state: stateNotApplied}
	tooShort := answer{code: "DeadlineExceeded", reason: reasonTooShort, state: stateNotApplied}
	cancelled := answer{code: "Canceled", reason: reasonCallerCancelled, state: stateUnknown}
	for _, tc := range []struct {
		name    string
		call    call
		answer  answer
		revoked map[string]bool
		// want is part of the complaint; nothing for an answer that is right.
		want string
	}{
		{"revoked here", call{}, answer{outcome: "REVOKED"}, inLocal, ""},
		{"revoked nowhere", call{}, answer{outcome: "REVOKED"}, inNone, "alive"},
		{"revoked everywhere", call{allRegions: true}, answer{outcome: "REVOKED"}, inAll, ""},
		{"not everywhere", call{allRegions: true}, answer{outcome: "REVOKED"}, inLocal, "alive in some region"},
		{"already invalid by its own doing", call{allRegions: true}, answer{outcome: "ALREADY_INVALID"}, inLocal, ""},
		{"said to be invalid, but alive", call{}, answer{outcome: "ALREADY_INVALID"}, inNone, "alive"},
		{"204 for one that is alive", call{door: overDropIn}, answer{door: overDropIn, status: 204, outcome: "204"}, inNone, "alive"},
		{"revoked a second time", call{origin: spent}, answer{outcome: "REVOKED"}, inLocal, "dead before"},
		{"revoked, but expired", call{origin: dead}, answer{outcome: "REVOKED"}, inNone, "dead before"},
		{"expired", call{origin: dead}, answer{outcome: "ALREADY_INVALID"}, inNone, ""},
		{"expired, and rejected", call{origin: dead}, rejected, inNone, ""},
		{"fresh, but rejected", call{}, rejected, inNone, "no reason"},
		{"not applied", call{}, unreached, inNone, ""},
		{"not applied, they say", call{}, unreached, inLocal, "dead"},
		{"not applied a second time", call{origin: spent}, unreached, inLocal, ""},
		{"in progress", call{}, pending, inLocal, ""},
		{"in progress, they say", call{}, pending, inNone, "nothing is in progress"},
		{"too short a deadline", call{deadline: time.Millisecond}, tooShort, inNone, ""},
		{"too short, without one", call{}, tooShort, inNone, "no reason"},
		{"cancelled", call{leaves: true}, cancelled, inNone, ""},
		{"cancelled by nobody", call{}, cancelled, inNone, "no reason"},
		{"refused without a mistake", call{}, answer{code: "InvalidArgument", reason: reasonInvalidRequest, state: stateNotApplied}, inNone, "no reason"},
		{"a defect", call{}, answer{code: "Internal", reason: "INTERNAL", state: stateUnknown}, inNone, "no reason"},
		{"no details", call{}, answer{code: "Unavailable"}, inNone, "no such answer"},
		{"nothing at all", call{}, answer{err: errNoAnswer}, inNone, "no answer"},
		{"nothing, for the caller had gone", call{leaves: true}, answer{callersOwn: true}, inNone, ""},
	} {
		j := &judge{table: theOutcomes(t), revoked: func(string) (map[string]bool, error) { return tc.revoked, nil }}
		got := j.check(&tc.call, tc.answer)
		if (got == "") != (tc.want == "") || !strings.Contains(got, tc.want) {
			t.Errorf("%s: %q, want %q", tc.name, got, tc.want)
		}
	}
}

// What an answer says of later is looked at later, once.
func TestJudgeProvesClaims(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name     string
		answer   answer
		at, then map[string]bool
		want     string
	}{
		{"stays alive", answer{code: "Unavailable", reason: "UPSTREAM_UNREACHABLE", state: stateNotApplied}, inNone, inNone, ""},
		{"dies after all", answer{code: "Unavailable", reason: "UPSTREAM_UNREACHABLE", state: stateNotApplied}, inNone, inLocal, "after all"},
		{"gets there", answer{code: "DeadlineExceeded", reason: "CONSISTENCY_TIMEOUT", state: stateInProgress}, inLocal, inAll, ""},
		{"does not get there", answer{code: "DeadlineExceeded", reason: "CONSISTENCY_TIMEOUT", state: stateInProgress}, inLocal, inLocal, "still alive"},
		{"nobody knows", answer{code: "DeadlineExceeded", reason: "UPSTREAM_TIMEOUT", state: stateUnknown}, inNone, inLocal, ""},
	} {
		regions := tc.at
		j := &judge{table: theOutcomes(t), revoked: func(string) (map[string]bool, error) { return regions, nil }}
		if bad := j.check(&call{token: "a.secret.token"}, tc.answer); bad != "" {
			t.Fatalf("%s: %s", tc.name, bad)
		}
		regions = tc.then
		got := strings.Join(j.proveClaims(), "\n")
		if (got == "") != (tc.want == "") || !strings.Contains(got, tc.want) {
			t.Errorf("%s: %q, want %q", tc.name, got, tc.want)
		}
		if strings.Contains(got, "secret") {
			t.Errorf("%s: the token is told: %q", tc.name, got)
		}
		if again := j.proveClaims(); len(again) > 0 {
			t.Errorf("%s: told twice", tc.name)
		}
	}
}

func TestJudgeSaysWhenTheSandboxCannotTell(t *testing.T) {
	t.Parallel()
	j := &judge{table: theOutcomes(t), revoked: func(string) (map[string]bool, error) { return nil, errors.New("expired") }}
	for _, a := range []answer{
		{outcome: "REVOKED"},
		{code: "Unavailable", reason: "UPSTREAM_UNREACHABLE", state: stateNotApplied},
	} {
		if got := j.check(&call{}, a); !strings.Contains(got, "cannot tell") {
			t.Errorf("%+v: %q", a, got)
		}
	}
}

func TestCheckRefusal(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name   string
		answer answer
		status int
		right  bool
	}{
		{"gRPC", answer{door: overGRPC, code: "InvalidArgument", reason: reasonInvalidRequest, state: stateNotApplied}, 0, true},
		{"gRPC, another code", answer{door: overGRPC, code: "Internal", reason: reasonInvalidRequest, state: stateNotApplied}, 0, false},
		{"REST", answer{door: overNative, status: 413, code: "InvalidArgument", reason: reasonInvalidRequest, state: stateNotApplied}, 413, true},
		{"REST, another status", answer{door: overNative, status: 400, code: "InvalidArgument", reason: reasonInvalidRequest, state: stateNotApplied}, 413, false},
		{"unknown", answer{door: overDropIn, status: 400, reason: reasonInvalidRequest, state: stateUnknown}, 400, false},
		{"done", answer{door: overDropIn, status: 204, outcome: "204"}, 400, false},
		{"no answer", answer{door: overDropIn, err: errNoAnswer}, 400, false},
	} {
		if got := checkRefusal(theOutcomes(t), tc.answer, tc.status); (got == "") != tc.right {
			t.Errorf("%s: %q", tc.name, got)
		}
	}
}

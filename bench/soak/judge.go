package soak

import (
	"maps"
	"slices"
	"sync"
)

// The states and reasons that are looked at.
const (
	notApplied = "NOT_APPLIED"
	inProgress = "IN_PROGRESS"
	unknown    = "UNKNOWN"

	invalidRequest  = "INVALID_REQUEST"
	tokenRejected   = "TOKEN_REJECTED"
	tooShort        = "DEADLINE_TOO_SHORT"
	callerCancelled = "CALLER_CANCELLED"
)

// always are the reasons that a sound call may fail for in this run. Others would be
// defects: quash does not shut down, its key is good, there are never too many calls.
var always = []string{
	"CONSISTENCY_TIMEOUT", "UPSTREAM_RATE_LIMITED", "UPSTREAM_UNAVAILABLE", "UPSTREAM_UNEXPECTED_RESPONSE",
	"UPSTREAM_UNREACHABLE", "UPSTREAM_TIMEOUT", "UPSTREAM_CIRCUIT_OPEN",
}

// judge knows whether answers are true.
type judge struct {
	revoked func(token string) (map[string]bool, error) // by region, as the sandbox has it

	mu sync.Mutex
	// claims are answers whose truth only the end of the cycle shows.
	claims []claim
}

// claim is that a token stays alive, or will be dead everywhere.
type claim struct {
	call  *call
	state string
}

// wrong returns what is wrong with an answer, if anything.
func (j *judge) wrong(c *call, a answer) string {
	switch {
	case a.left:
		return ""
	case a.err != nil:
		return a.err.Error()
	case c.malformed:
		if a.reason != invalidRequest || a.state != notApplied {
			return "it should be INVALID_REQUEST"
		}
		return ""
	case a.outcome != "":
		return j.wrongSuccess(c, a)
	case !c.mayFailFor(a.reason):
		return "there was no cause for it"
	}
	return j.wrongFailure(c, a)
}

func (c *call) mayFailFor(reason string) bool {
	switch reason {
	case tokenRejected:
		return c.repeated
	case tooShort:
		return c.deadline != 0
	case callerCancelled:
		return c.leaves != 0
	}
	return slices.Contains(always, reason)
}

func (j *judge) wrongSuccess(c *call, a answer) string {
	if c.repeated {
		if a.outcome == "REVOKED" {
			return "the token was dead before"
		}
		return ""
	}
	regions, err := j.revoked(c.token)
	switch {
	case err != nil:
		return "the sandbox cannot tell: " + err.Error()
	case !regions[localRegion]:
		return "the token is alive"
	case a.outcome == "REVOKED" && c.allRegions && !everywhere(regions):
		return "the token is alive in some region"
	}
	return ""
}

func (j *judge) wrongFailure(c *call, a answer) string {
	if c.repeated || a.state == unknown {
		return ""
	}
	regions, err := j.revoked(c.token)
	switch {
	case err != nil:
		return "the sandbox cannot tell: " + err.Error()
	case a.state == notApplied && anywhere(regions):
		return "the token is dead"
	case a.state == inProgress && !regions[localRegion]:
		return "nothing is in progress"
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	j.claims = append(j.claims, claim{c, a.state})
	return ""
}

// check returns the claims of the cycle that have turned out to be untrue.
func (j *judge) check() (untrue []string) {
	j.mu.Lock()
	claims := j.claims
	j.claims = nil
	j.mu.Unlock()
	for _, claim := range claims {
		regions, err := j.revoked(claim.call.token)
		switch {
		case err != nil:
			untrue = append(untrue, claim.call.String()+": the sandbox cannot tell: "+err.Error())
		case claim.state == notApplied && anywhere(regions):
			untrue = append(untrue, claim.call.String()+": NOT_APPLIED, but the token was revoked afterwards")
		case claim.state == inProgress && !everywhere(regions):
			untrue = append(untrue, claim.call.String()+": IN_PROGRESS, but the token is still alive in some region")
		}
	}
	return untrue
}

func everywhere(regions map[string]bool) bool {
	return !slices.Contains(slices.Collect(maps.Values(regions)), false)
}

func anywhere(regions map[string]bool) bool {
	return slices.Contains(slices.Collect(maps.Values(regions)), true)
}

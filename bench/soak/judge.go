package main

import (
	"fmt"
	"maps"
	"slices"
	"sync"
)

// judge knows which answers may be, and whether they are true.
type judge struct {
	table   []outcome
	revoked func(token string) (map[string]bool, error) // by region, as the sandbox has it

	mu sync.Mutex
	// claims are those of this cycle's answers that only the end of it can prove.
	claims []claim
}

// claim is that a token is, and stays, alive or will be dead everywhere.
type claim struct {
	token string
	state string
	of    string
}

// always are the reasons that a sound request may fail for in this run, whatever it
// was. Those that are missing would be defects here: nobody shuts quash down, its
// key is good, and there are never too many calls in flight.
var always = []string{
	"CONSISTENCY_TIMEOUT", "UPSTREAM_RATE_LIMITED", "UPSTREAM_UNAVAILABLE", "UPSTREAM_UNEXPECTED_RESPONSE",
	"UPSTREAM_UNREACHABLE", "UPSTREAM_TIMEOUT", "UPSTREAM_CIRCUIT_OPEN",
}

// check returns what is wrong with the answer to a sound request, or nothing.
func (j *judge) check(c *call, a answer) string {
	switch {
	case a.callersOwn:
		return ""
	case a.err != nil:
		return a.err.Error()
	case a.outcome != "":
		return j.checkSuccess(c, a)
	case !allows(j.table, a):
		return "the outcome table has no such answer"
	case !c.mayFailFor(a.reason):
		return "there was no reason for it"
	}
	return j.checkFailure(c, a)
}

func (c *call) mayFailFor(reason string) bool {
	switch reason {
	case reasonTokenRejected:
		return c.origin != fresh
	case reasonTooShort:
		return c.deadline != 0
	case reasonCallerCancelled:
		return c.leaves
	}
	return slices.Contains(always, reason)
}

func (j *judge) checkSuccess(c *call, a answer) string {
	if c.origin != fresh {
		if a.outcome == outcomeRevoked {
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
	case a.outcome == outcomeRevoked && c.allRegions && !everywhere(regions):
		return "the token is alive in some region"
	}
	return ""
}

// checkFailure looks at what the state says, now and at the end of the cycle.
func (j *judge) checkFailure(c *call, a answer) string {
	if c.origin != fresh || a.state == stateUnknown {
		return ""
	}
	regions, err := j.revoked(c.token)
	switch {
	case err != nil:
		return "the sandbox cannot tell: " + err.Error()
	case a.state == stateNotApplied && !nowhere(regions):
		return "the token is dead"
	case a.state == stateInProgress && !regions[localRegion]:
		return "nothing is in progress"
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	j.claims = append(j.claims, claim{c.token, a.state, describe(c, a)})
	return ""
}

// proveClaims returns what has turned out to be untrue by the end of the cycle.
func (j *judge) proveClaims() []string {
	j.mu.Lock()
	claims := j.claims
	j.claims = nil
	j.mu.Unlock()
	var untrue []string
	for _, claim := range claims {
		regions, err := j.revoked(claim.token)
		switch {
		case err != nil:
			untrue = append(untrue, claim.of+": the sandbox cannot tell: "+err.Error())
		case claim.state == stateNotApplied && !nowhere(regions):
			untrue = append(untrue, claim.of+": the token has been revoked after all")
		case claim.state == stateInProgress && !everywhere(regions):
			untrue = append(untrue, claim.of+": the token is still alive in some region")
		}
	}
	return untrue
}

// checkRefusal returns what is wrong with the answer to a request that breaks a
// rule, for which HTTP may have a status of its own.
func checkRefusal(table []outcome, a answer, httpStatus int) string {
	switch {
	case a.err != nil:
		return a.err.Error()
	case a.reason != reasonInvalidRequest || a.state != stateNotApplied:
		return "it should be refused"
	case a.door == overGRPC && !allows(table, a):
		return "the outcome table has no such answer"
	case a.door != overGRPC && a.status != httpStatus:
		return fmt.Sprintf("the status should be %d", httpStatus)
	}
	return ""
}

// describe names a call and its answer, without the token.
func describe(c *call, a answer) string {
	consistency := "local region"
	if c.allRegions {
		consistency = "all regions"
	}
	return fmt.Sprintf("%s over %s (%s, timeout %s, deadline %s): %d %s %s",
		c.kind, doorNames[a.door], consistency, c.timeout, c.deadline, a.status, a.code, a.label())
}

func everywhere(regions map[string]bool) bool {
	return !slices.Contains(slices.Collect(maps.Values(regions)), false)
}

func nowhere(regions map[string]bool) bool {
	return !slices.Contains(slices.Collect(maps.Values(regions)), true)
}

package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/quashdev/quash/client"
	quashv1 "github.com/quashdev/quash/gen/quash/v1"
	"github.com/quashdev/quash/internal/bulk"
)

// oneAttempts is the maximum number of attempts to revoke a single token.
const oneAttempts = 3

// revokeOne revokes the token from --token-file or standard input.
func (c *revokeCmd) revokeOne(ctx context.Context, std streams) error {
	token, err := c.readToken(ctx, std)
	if err != nil {
		return err
	}
	quash, err := c.dial(oneAttempts)
	if err != nil {
		return err
	}
	defer func() { _ = quash.Close() }()
	v := newVerdict(c.call(ctx, quash, token))
	if c.Output == "json" {
		if err := json.NewEncoder(std.out).Encode(v); err != nil {
			return v.unwritten(err)
		}
		return v.coded("")
	}
	if v.Outcome != bulk.Dead {
		return v.coded(v.text())
	}
	if _, err := fmt.Fprint(std.out, v.text()); err != nil {
		return v.unwritten(err)
	}
	return nil
}

// verdict is the outcome of one token, as --output json writes it.
type verdict struct {
	// Outcome is dead, rejected, in_progress, unknown or not_applied.
	Outcome bulk.Outcome `json:"outcome"`
	// State is the state of a call that failed: NOT_APPLIED, IN_PROGRESS or UNKNOWN.
	State string `json:"state,omitempty"`
	// Reason is the error reason of a call that failed; else REVOKED or ALREADY_INVALID.
	Reason string `json:"reason,omitempty"`
	// Code is the gRPC status code, Message its message.
	Code    string `json:"code"`
	Message string `json:"message,omitempty"`
	// Consistency is the consistency that was reached, or, after a failure, the requested one:
	// local_region or all_regions.
	Consistency string `json:"consistency,omitempty"`
	// CorrelationID identifies the call for SlashID's support.
	CorrelationID string `json:"correlation_id,omitempty"`
	// RetryAfter is the time in seconds after which a retry can succeed.
	RetryAfter float64 `json:"retry_after,omitempty"`
}

func newVerdict(resp *quashv1.RevokeResponse, err error) verdict {
	answer := answerOf(resp, err)
	v := verdict{Outcome: answer.Result().Outcome, Code: bulk.CodeName(answer.Code)}
	failure, failed := client.Failure(err)
	if !failed {
		v.Reason = strings.TrimPrefix(resp.GetOutcome().String(), "OUTCOME_")
		v.Consistency = consistencyName(resp.GetConsistency())
		v.CorrelationID = resp.GetCorrelationId()
		if v.Outcome == bulk.Unknown {
			v.Message = "quash reports a success that this version of the command does not know"
		}
		return v
	}
	v.State = strings.TrimPrefix(failure.State.String(), "REVOCATION_STATE_")
	if failure.Reason != quashv1.ErrorReason_ERROR_REASON_UNSPECIFIED {
		v.Reason = answer.Cause()
	}
	v.Message = withoutTokens(failure.Message)
	v.Consistency = consistencyName(failure.Consistency)
	v.CorrelationID = failure.CorrelationID
	v.RetryAfter = failure.RetryDelay.Seconds()
	return v
}

// coded returns an error with the exit code of the verdict, or nil if that is 0.
func (v verdict) coded(text string) error {
	if code := exitCodes[v.Outcome]; code != exitOK {
		return &codedError{errors.New(text), code}
	}
	return nil
}

// unwritten returns the error for a verdict that could not be written to standard output.
func (v verdict) unwritten(err error) error {
	return &codedError{fmt.Errorf("%swrite the outcome: %w", v.text(), err), exitIncomplete}
}

// text returns the verdict as text: whether the token is dead, what to do, and the correlation
// id.
func (v verdict) text() string {
	what, do := v.sentences()
	text := what + "\n" + do + "\n"
	if v.CorrelationID != "" {
		text += "SlashID's correlation id: " + v.CorrelationID + "\n"
	}
	return text
}

func (v verdict) sentences() (what, do string) {
	why := fmt.Sprintf("%s (%s)", v.Message, cmp.Or(v.Reason, v.Code))
	when := ""
	if v.RetryAfter > 0 {
		when = fmt.Sprintf(" in %gs", v.RetryAfter)
	}
	switch v.Outcome {
	case bulk.Dead:
		do = "Nothing is left to do."
		switch {
		case v.Reason == "ALREADY_INVALID":
			return "The token is dead: SlashID reports it as invalid. It is expired, already revoked, or not one of SlashID's tokens.", do
		case v.Consistency == bulk.AllRegions:
			return "The token is dead, in all regions.", do
		}
		return "The token is dead in SlashID's local region; the other regions follow.", do
	case bulk.Rejected:
		return "The token was not revoked. SlashID rejected it: it is malformed, expired, already revoked, or from another environment.",
			"It cannot be used here. If you expected a valid token, check that it is complete and from the environment of this quash."
	case bulk.InProgress:
		return "The token is being revoked: SlashID has accepted the revocation, and has not finished it everywhere yet.",
			"Nothing is left to do: SlashID finishes it automatically."
	case bulk.Unknown:
		return fmt.Sprintf("It is not known whether the token is dead: %s.", why),
			fmt.Sprintf("Run the command again%s with --allow-invalid: it succeeds in both cases.", when)
	default:
		what, do = fmt.Sprintf("The token was NOT revoked: %s.", why), fmt.Sprintf("Run the command again%s.", when)
		if when == "" && v.Code != "UNAVAILABLE" {
			do = "Running the command again does not help until this is fixed."
		}
		return what, do
	}
}

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

// oneAttempts is how often quash is asked about a single token where that can help.
const oneAttempts = 3

// revokeOne revokes the token of the file or of standard input.
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
	if c.Output == outputJSON {
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

// verdict is what became of a token, as --output json says it.
type verdict struct {
	// Outcome is dead, rejected, in_progress, unknown or not_applied.
	Outcome bulk.Outcome `json:"outcome"`
	// State is quash's, of a call that failed: NOT_APPLIED, IN_PROGRESS or UNKNOWN.
	State string `json:"state,omitempty"`
	// Reason is why it failed, and REVOKED or ALREADY_INVALID where it did not.
	Reason string `json:"reason,omitempty"`
	// Code is gRPC's, Message what goes with it.
	Code    string `json:"code"`
	Message string `json:"message,omitempty"`
	// Consistency is the one that was reached, or else was asked for: local_region or
	// all_regions.
	Consistency string `json:"consistency,omitempty"`
	// CorrelationID is what SlashID's support asks for.
	CorrelationID string `json:"correlation_id,omitempty"`
	// RetryAfter is in how many seconds a repetition can help.
	RetryAfter float64 `json:"retry_after,omitempty"`
}

func newVerdict(resp *quashv1.RevokeResponse, err error) verdict {
	answer := answerOf(resp, err)
	failure, failed := client.Failure(err)
	if !failed {
		return verdict{
			Outcome:       answer.Result().Outcome,
			Reason:        strings.TrimPrefix(resp.GetOutcome().String(), "OUTCOME_"),
			Code:          bulk.CodeName(answer.Code),
			Message:       unknownOutcome(answer),
			Consistency:   consistency(resp.GetConsistency()).String(),
			CorrelationID: resp.GetCorrelationId(),
		}
	}
	v := verdict{
		Outcome:       answer.Result().Outcome,
		State:         strings.TrimPrefix(failure.State.String(), "REVOCATION_STATE_"),
		Code:          bulk.CodeName(failure.Code),
		Message:       withoutTokens(messageOf(failure)),
		Consistency:   consistency(failure.Consistency).String(),
		CorrelationID: failure.CorrelationID,
		RetryAfter:    failure.RetryDelay.Seconds(),
	}
	if failure.Reason != quashv1.ErrorReason_ERROR_REASON_UNSPECIFIED {
		v.Reason = answer.Cause()
	}
	return v
}

// unknownOutcome is for the outcomes of a quash that is newer, or none.
func unknownOutcome(a bulk.Answer) string {
	if a.Result().Outcome == bulk.Unknown {
		return "quash calls it a success, of a kind that is not known here"
	}
	return ""
}

// messageOf has the rules too that the request breaks.
func messageOf(failure *client.FailureInfo) string {
	var text strings.Builder
	text.WriteString(failure.Message)
	for _, v := range failure.Violations {
		fmt.Fprintf(&text, "; %s: %s", v.Field, v.Description)
	}
	return text.String()
}

// coded is the error that ends the command with the exit code of the verdict, if it has
// one.
func (v verdict) coded(text string) error {
	if code := exitCodes[v.Outcome]; code != exitOK {
		return &codedError{errors.New(text), code}
	}
	return nil
}

// unwritten is the error for a verdict that could not be written where it belongs.
func (v verdict) unwritten(err error) error {
	return &codedError{fmt.Errorf("%swrite the outcome: %w", v.text(), err), exitIncomplete}
}

// text is the verdict for people: whether the token is dead, what to do, and what
// SlashID's support would ask for.
func (v verdict) text() string {
	lines := []string{v.isDead(), v.whatToDo()}
	if v.CorrelationID != "" {
		lines = append(lines, "SlashID's correlation id: "+v.CorrelationID)
	}
	return strings.Join(lines, "\n") + "\n"
}

func (v verdict) isDead() string {
	switch v.Outcome {
	case bulk.Dead:
		if v.Reason == "ALREADY_INVALID" {
			return "The token is dead: SlashID calls it invalid. It was expired, revoked before, or none of its tokens."
		}
		if v.Consistency == bulk.AllRegions {
			return "The token is dead, in all regions."
		}
		return "The token is dead in SlashID's local region; the others follow."
	case bulk.Rejected:
		return "The token was not revoked, for SlashID rejected it: it is malformed, foreign, expired or already revoked."
	case bulk.InProgress:
		return "The token is being revoked: SlashID has accepted that, and is not done everywhere yet."
	case bulk.Unknown:
		return fmt.Sprintf("Nobody can say whether the token is dead: %s (%s).", v.Message, cmp.Or(v.Reason, v.Code))
	default:
		return fmt.Sprintf("The token was NOT revoked: %s (%s).", v.Message, cmp.Or(v.Reason, v.Code))
	}
}

func (v verdict) whatToDo() string {
	in := ""
	if v.RetryAfter > 0 {
		in = fmt.Sprintf(" in %gs", v.RetryAfter)
	}
	switch v.Outcome {
	case bulk.Dead:
		return "Nothing is left to do."
	case bulk.Rejected:
		return "It cannot be used here. If it should have been alive, see that it is whole, and of the environment that this quash is for."
	case bulk.InProgress:
		return "Nothing is left to do: SlashID goes on by itself."
	case bulk.Unknown:
		return fmt.Sprintf("Repeat the command%s with --allow-invalid: that succeeds either way.", in)
	default:
		if v.RetryAfter == 0 && v.Code != "UNAVAILABLE" {
			return "Repeating the command does not help until that is fixed."
		}
		return fmt.Sprintf("Repeat the command%s.", in)
	}
}

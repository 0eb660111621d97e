package main

import (
	"encoding/json"
	"strings"
	"testing"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/durationpb"

	quashv1 "github.com/quashdev/quash/gen/quash/v1"
	"github.com/quashdev/quash/internal/bulk"
	"github.com/quashdev/quash/service"
)

// The output and the exit code of quash revoke for each row of quash's outcome table.
func TestRevokeOutcomes(t *testing.T) {
	t.Parallel()
	const (
		notRevoked = "The token was NOT revoked: MESSAGE"
		unknown    = "It is not known whether the token is dead: MESSAGE"

		nothing  = "Nothing is left to do."
		finishes = "Nothing is left to do: SlashID finishes it automatically."
		repeat   = "Run the command again in 0.001s."
		makeSure = "with --allow-invalid: it succeeds in both cases."
		fix      = "Running the command again does not help until this is fixed."
	)
	type want struct {
		code     int
		outcome  bulk.Outcome
		what, do string // the start and the end of the text; MESSAGE stands for message and reason
	}
	notKnown := want{exitUnknown, bulk.Unknown, unknown, makeSure}
	needsFix := want{exitNotApplied, bulk.NotApplied, notRevoked, fix}
	repeatable := want{exitNotApplied, bulk.NotApplied, notRevoked, repeat}
	rows := map[string]want{ // by outcome, or by reason and state
		"REVOKED":                                  {exitOK, bulk.Dead, "The token is dead in SlashID's local region", nothing},
		"ALREADY_INVALID":                          {exitOK, bulk.Dead, "The token is dead: SlashID reports it as invalid.", nothing},
		"TOKEN_REJECTED NOT_APPLIED":               {exitRejected, bulk.Rejected, "The token was not revoked. SlashID rejected it", "from the environment of this quash."},
		"CONSISTENCY_TIMEOUT IN_PROGRESS":          {exitInProgress, bulk.InProgress, "The token is being revoked", finishes},
		"CONSISTENCY_TIMEOUT UNKNOWN":              notKnown,
		"UPSTREAM_UNAVAILABLE UNKNOWN":             notKnown,
		"UPSTREAM_UNEXPECTED_RESPONSE UNKNOWN":     notKnown,
		"UPSTREAM_UNREACHABLE UNKNOWN":             notKnown,
		"UPSTREAM_TIMEOUT UNKNOWN":                 notKnown,
		"CALLER_CANCELLED UNKNOWN":                 notKnown,
		"INTERNAL UNKNOWN":                         notKnown,
		"UPSTREAM_CREDENTIAL_REJECTED NOT_APPLIED": needsFix,
		"CALLER_CREDENTIAL_REJECTED NOT_APPLIED":   needsFix,
		"CALLER_NOT_ALLOWED NOT_APPLIED":           needsFix,
		"DEADLINE_TOO_SHORT NOT_APPLIED":           needsFix,
		"INVALID_REQUEST NOT_APPLIED":              needsFix,
		"UPSTREAM_RATE_LIMITED NOT_APPLIED":        repeatable,
		"UPSTREAM_UNREACHABLE NOT_APPLIED":         repeatable,
		"OVERLOADED NOT_APPLIED":                   repeatable,
		"UPSTREAM_CIRCUIT_OPEN NOT_APPLIED":        repeatable,
		"SHUTTING_DOWN NOT_APPLIED":                repeatable,
	}
	for _, doc := range service.OutcomeDocs() {
		t.Run(doc.When, func(t *testing.T) {
			t.Parallel()
			name, message := doc.Outcome, ""
			if doc.Error != nil {
				name = doc.Error.Reason() + " " + doc.Error.State()
				message = doc.Error.Error() + " (" + doc.Error.Reason() + ")."
			}
			row, known := rows[name]
			if !known {
				t.Fatalf("there is no row for %s", name)
			}
			addr := startAnswering(t, func(*quashv1.RevokeRequest) (*quashv1.RevokeResponse, error) { return answerTo(t, doc) })

			got := revoke(t, "token", "--addr", addr)
			text := got.stdout
			if row.code != exitOK {
				text = strings.ReplaceAll(got.stderr, "quash: ", "")
			}
			if got.code != row.code || !strings.HasPrefix(text, strings.ReplaceAll(row.what, "MESSAGE", message)) || !strings.HasSuffix(text, row.do+"\n") {
				t.Errorf("it ended with %+v\nwant %+v", got, row)
			}

			got = revoke(t, "token", "--addr", addr, "--output", "json")
			var v verdict
			must(t, json.Unmarshal([]byte(got.stdout), &v))
			reason := strings.TrimSpace(v.Reason + " " + v.State)
			if got.code != row.code || got.stderr != "" || v.Outcome != row.outcome || reason != name {
				t.Errorf("as JSON it ended with %+v", got)
			}
		})
	}
}

// answerTo returns the answer of quash for a row of its outcome table, with a short retry delay.
func answerTo(t *testing.T, doc service.OutcomeDoc) (*quashv1.RevokeResponse, error) {
	t.Helper()
	if doc.Error == nil {
		return &quashv1.RevokeResponse{Outcome: quashv1.Outcome(quashv1.Outcome_value["OUTCOME_"+doc.Outcome])}, nil
	}
	st := doc.Error.GRPCStatus().Proto()
	for i, detail := range st.GetDetails() {
		if detail.MessageIs(&errdetails.RetryInfo{}) {
			soon, err := anypb.New(&errdetails.RetryInfo{RetryDelay: durationpb.New(1e6)})
			if err != nil {
				t.Error(err)
			}
			st.Details[i] = soon
		}
	}
	return nil, status.FromProto(st).Err()
}

// Answers that are not in quash's outcome table.
func TestRevokeOddAnswers(t *testing.T) {
	t.Parallel()
	for text, tt := range map[string]struct {
		resp *quashv1.RevokeResponse
		err  error
		code int
	}{
		"dead: quash reports a success that this version of the command does not know (77).": {&quashv1.RevokeResponse{Outcome: 77}, nil, exitUnknown},
		"The token is dead, in all regions.":                                                 {&quashv1.RevokeResponse{Outcome: quashv1.Outcome_OUTCOME_REVOKED, Consistency: quashv1.Consistency_CONSISTENCY_ALL_REGIONS}, nil, exitOK},
		"token: it is too long (INVALID_REQUEST).":                                           {nil, service.InvalidRequest(service.Violation{Field: "token", Description: "it is too long"}), exitNotApplied},
		"dead: too much (RESOURCE_EXHAUSTED).":                                               {nil, status.Error(8, "too much"), exitUnknown},
	} {
		addr := startAnswering(t, func(*quashv1.RevokeRequest) (*quashv1.RevokeResponse, error) { return tt.resp, tt.err })
		if got := revoke(t, "token", "--addr", addr); got.code != tt.code || !strings.Contains(got.stdout+got.stderr, text) {
			t.Errorf("it ended with %+v\nwant code %d and %s", got, tt.code, text)
		}
	}
}

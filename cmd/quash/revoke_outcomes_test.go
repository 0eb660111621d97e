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

// What quash revoke says, and ends with, in each row of quash's outcome table.
func TestRevokeOutcomes(t *testing.T) {
	t.Parallel()
	const (
		notRevoked = "The token was NOT revoked: "
		uncertain  = "Nobody can say whether the token is dead: "

		nothing  = "Nothing is left to do."
		soon     = "Repeat the command in 0.001s."
		soonSure = "Repeat the command in 0.001s with --allow-invalid: that succeeds either way."
		sure     = "Repeat the command with --allow-invalid: that succeeds either way."
		fix      = "Repeating the command does not help until that is fixed."
	)
	type want struct {
		code    int
		outcome bulk.Outcome
		dead    string // followed by the error's message and its reason, if it ends with a space
		do      string
	}
	rows := map[string]want{ // by the outcome, or by reason and state
		"REVOKED":                                  {exitOK, bulk.Dead, "The token is dead in SlashID's local region; the others follow.", nothing},
		"ALREADY_INVALID":                          {exitOK, bulk.Dead, "The token is dead: SlashID calls it invalid. It was expired, revoked before, or none of its tokens.", nothing},
		"TOKEN_REJECTED NOT_APPLIED":               {exitRejected, bulk.Rejected, "The token was not revoked, for SlashID rejected it: it is malformed, foreign, expired or already revoked.", "It cannot be used here. If it should have been alive, see that it is whole, and of the environment that this quash is for."},
		"CONSISTENCY_TIMEOUT IN_PROGRESS":          {exitInProgress, bulk.InProgress, "The token is being revoked: SlashID has accepted that, and is not done everywhere yet.", "Nothing is left to do: SlashID goes on by itself."},
		"CONSISTENCY_TIMEOUT UNKNOWN":              {exitUnknown, bulk.Unknown, uncertain, sure},
		"UPSTREAM_UNAVAILABLE UNKNOWN":             {exitUnknown, bulk.Unknown, uncertain, soonSure},
		"UPSTREAM_UNEXPECTED_RESPONSE UNKNOWN":     {exitUnknown, bulk.Unknown, uncertain, sure},
		"UPSTREAM_UNREACHABLE UNKNOWN":             {exitUnknown, bulk.Unknown, uncertain, soonSure},
		"UPSTREAM_TIMEOUT UNKNOWN":                 {exitUnknown, bulk.Unknown, uncertain, sure},
		"CALLER_CANCELLED UNKNOWN":                 {exitUnknown, bulk.Unknown, uncertain, sure},
		"INTERNAL UNKNOWN":                         {exitUnknown, bulk.Unknown, uncertain, sure},
		"UPSTREAM_CREDENTIAL_REJECTED NOT_APPLIED": {exitNotApplied, bulk.NotApplied, notRevoked, fix},
		"CALLER_CREDENTIAL_REJECTED NOT_APPLIED":   {exitNotApplied, bulk.NotApplied, notRevoked, fix},
		"CALLER_NOT_ALLOWED NOT_APPLIED":           {exitNotApplied, bulk.NotApplied, notRevoked, fix},
		"DEADLINE_TOO_SHORT NOT_APPLIED":           {exitNotApplied, bulk.NotApplied, notRevoked, fix},
		"INVALID_REQUEST NOT_APPLIED":              {exitNotApplied, bulk.NotApplied, notRevoked, fix},
		"UPSTREAM_RATE_LIMITED NOT_APPLIED":        {exitNotApplied, bulk.NotApplied, notRevoked, soon},
		"UPSTREAM_UNREACHABLE NOT_APPLIED":         {exitNotApplied, bulk.NotApplied, notRevoked, soon},
		"OVERLOADED NOT_APPLIED":                   {exitNotApplied, bulk.NotApplied, notRevoked, soon},
		"UPSTREAM_CIRCUIT_OPEN NOT_APPLIED":        {exitNotApplied, bulk.NotApplied, notRevoked, soon},
		"SHUTTING_DOWN NOT_APPLIED":                {exitNotApplied, bulk.NotApplied, notRevoked, soon},
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
			if strings.HasSuffix(row.dead, " ") {
				row.dead += message
			}
			addr := startAnswering(t, func(*quashv1.RevokeRequest) (*quashv1.RevokeResponse, error) { return answerTo(t, doc) })

			want := ended{row.code, "", "quash: " + row.dead + "\nquash: " + row.do + "\n"}
			if row.code == exitOK {
				want = ended{exitOK, row.dead + "\n" + row.do + "\n", ""}
			}
			if got := revoke(t, "token", "--addr", addr); got != want {
				t.Errorf("it ended with %+v\nwant %+v", got, want)
			}

			got := revoke(t, "token", "--addr", addr, "--output", "json")
			var v verdict
			if err := json.Unmarshal([]byte(got.stdout), &v); err != nil {
				t.Fatal(err)
			}
			reason := strings.TrimSpace(v.Reason + " " + v.State)
			if got.code != row.code || got.stderr != "" || v.Outcome != row.outcome || reason != name {
				t.Errorf("as JSON it ended with %+v", got)
			}
		})
	}
}

// answerTo is what quash answers in a row of its outcome table, but for how long it wants
// to be left alone: a test has no time for that.
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

// What is said of answers that are none of quash's outcome table.
func TestRevokeOddAnswers(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		resp *quashv1.RevokeResponse
		err  error
		want ended
	}{
		"a success of a newer quash": {
			&quashv1.RevokeResponse{Outcome: 77}, nil,
			ended{exitUnknown, "", "quash: Nobody can say whether the token is dead: quash calls it a success, of a kind that is not known here (77).\n" +
				"quash: Repeat the command with --allow-invalid: that succeeds either way.\n"},
		},
		"a success in all regions": {
			&quashv1.RevokeResponse{Outcome: quashv1.Outcome_OUTCOME_REVOKED, Consistency: quashv1.Consistency_CONSISTENCY_ALL_REGIONS}, nil,
			ended{exitOK, "The token is dead, in all regions.\nNothing is left to do.\n", ""},
		},
		"rules that are broken": {
			nil, service.InvalidRequest(service.Violation{Field: "token", Description: "it is too long"}),
			ended{exitNotApplied, "", "quash: The token was NOT revoked: the request breaks a rule of the API; see the details; token: it is too long (INVALID_REQUEST).\n" +
				"quash: Repeating the command does not help until that is fixed.\n"},
		},
		"something before quash": {
			nil, status.Error(8, "too much"),
			ended{exitUnknown, "", "quash: Nobody can say whether the token is dead: too much (RESOURCE_EXHAUSTED).\n" +
				"quash: Repeat the command with --allow-invalid: that succeeds either way.\n"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			addr := startAnswering(t, func(*quashv1.RevokeRequest) (*quashv1.RevokeResponse, error) { return tt.resp, tt.err })
			if got := revoke(t, "token", "--addr", addr); got != tt.want {
				t.Errorf("it ended with %+v\nwant %+v", got, tt.want)
			}
		})
	}
}

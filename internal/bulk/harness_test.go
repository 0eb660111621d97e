package bulk_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc/codes"

	quashv1 "github.com/quashdev/quash/gen/quash/v1"
	"github.com/quashdev/quash/internal/bulk"
	"github.com/quashdev/quash/internal/bulk/tokenlist"
)

// Answers to calls.
var (
	revoked        = bulk.Answer{Success: quashv1.Outcome_OUTCOME_REVOKED}
	alreadyInvalid = bulk.Answer{Success: quashv1.Outcome_OUTCOME_ALREADY_INVALID}
	rejected       = failed(codes.InvalidArgument, quashv1.ErrorReason_ERROR_REASON_TOKEN_REJECTED, notApplied, 0)
	invalid        = failed(codes.InvalidArgument, quashv1.ErrorReason_ERROR_REASON_INVALID_REQUEST, notApplied, 0)
	pending        = failed(codes.DeadlineExceeded, quashv1.ErrorReason_ERROR_REASON_CONSISTENCY_TIMEOUT, inProgress, 0)
	unavailable    = failed(codes.Unavailable, quashv1.ErrorReason_ERROR_REASON_UPSTREAM_UNAVAILABLE, unknown, time.Second)
	unreachable    = failed(codes.Unavailable, quashv1.ErrorReason_ERROR_REASON_UPSTREAM_UNREACHABLE, notApplied, time.Second)
	noQuash        = failed(codes.Unavailable, quashv1.ErrorReason_ERROR_REASON_UNSPECIFIED, notApplied, 0)
	keyRefused     = failed(codes.Internal, quashv1.ErrorReason_ERROR_REASON_UPSTREAM_CREDENTIAL_REJECTED, notApplied, 0)
	limited        = failed(codes.ResourceExhausted, quashv1.ErrorReason_ERROR_REASON_UPSTREAM_RATE_LIMITED, notApplied, 7*time.Second)
)

const (
	notApplied = quashv1.RevocationState_REVOCATION_STATE_NOT_APPLIED
	inProgress = quashv1.RevocationState_REVOCATION_STATE_IN_PROGRESS
	unknown    = quashv1.RevocationState_REVOCATION_STATE_UNKNOWN
)

func failed(code codes.Code, reason quashv1.ErrorReason, state quashv1.RevocationState, delay time.Duration) bulk.Answer {
	return bulk.Answer{Code: code, Reason: reason, State: state, RetryDelay: delay}
}

// Results of tokens.
var (
	dead         = bulk.Result{Outcome: bulk.Dead, Why: "REVOKED"}
	deadBefore   = bulk.Result{Outcome: bulk.Dead, Why: "ALREADY_INVALID"}
	isRejected   = bulk.Result{Outcome: bulk.Rejected, Why: "TOKEN_REJECTED"}
	isInProgress = bulk.Result{Outcome: bulk.InProgress, Why: "CONSISTENCY_TIMEOUT"}
	isUnknown    = bulk.Result{Outcome: bulk.Unknown, Why: "UPSTREAM_UNAVAILABLE"}
	notAsked     = bulk.Result{Outcome: bulk.NotAsked}
)

// fixture has the configuration of a run, and a quash that answers its calls.
type fixture struct {
	bulk.Config

	// script has the answers to the calls for a token; the last one repeats. Calls for other
	// tokens are answered with revoked. always, if set, is asked first.
	script map[string][]bulk.Answer
	always func(token string) (bulk.Answer, bool)
	takes  time.Duration // the duration of each call

	mu          sync.Mutex
	calls       map[string]int
	begun       []time.Time
	inFlight    int
	maxInFlight int
	notices     []string
}

// newFixture returns a fixture for a list of tokens, without a journal.
func newFixture(t *testing.T, tokens ...string) *fixture {
	t.Helper()
	f := &fixture{calls: map[string]int{}}
	f.Config = bulk.Config{
		Lines: linesOf(t, tokens...), Journal: &bulk.Journal{}, Revoke: f.revoke, Concurrency: 4, Notify: f.notify,
	}
	return f
}

func linesOf(t *testing.T, lines ...string) []bulk.Line {
	t.Helper()
	list, err := tokenlist.Read(strings.NewReader(strings.Join(lines, "\n")))
	if err != nil {
		t.Fatal(err)
	}
	return bulk.NewLines(list)
}

func (f *fixture) revoke(_ context.Context, token string) bulk.Answer {
	f.mu.Lock()
	f.inFlight++
	f.maxInFlight = max(f.maxInFlight, f.inFlight)
	f.begun = append(f.begun, time.Now())
	call := f.calls[token]
	f.calls[token]++
	f.mu.Unlock()
	time.Sleep(f.takes) // in synctest's fake time
	f.mu.Lock()
	defer f.mu.Unlock()
	f.inFlight--
	if f.always != nil {
		if a, ok := f.always(token); ok {
			return a
		}
	}
	if answers := f.script[token]; answers != nil {
		return answers[min(call, len(answers)-1)]
	}
	return revoked
}

func (f *fixture) notify(text string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.notices = append(f.notices, text)
}

func (f *fixture) run(t *testing.T) {
	t.Helper()
	if err := bulk.New(f.Config).Do(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func (f *fixture) said() string { return strings.Join(f.notices, "\n") }

// count returns the number of lines with a result.
func (f *fixture) count(result bulk.Result) (n int) {
	for _, line := range f.Lines {
		if line.Result == result {
			n++
		}
	}
	return n
}

// many returns n tokens.
func many(n int) (tokens []string) {
	for i := range n {
		tokens = append(tokens, token(i))
	}
	return tokens
}

func token(i int) string { return fmt.Sprintf("eyJhIjox.eyJuIjo%d.c2ln", i) }

package bulk_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc/codes"

	quashv1 "github.com/quashdev/quash/gen/quash/v1"
	"github.com/quashdev/quash/internal/bulk"
	"github.com/quashdev/quash/internal/bulk/journal"
	"github.com/quashdev/quash/internal/bulk/tokenlist"
)

var (
	revoked        = bulk.Answer{Outcome: quashv1.Outcome_OUTCOME_REVOKED}
	alreadyInvalid = bulk.Answer{Outcome: quashv1.Outcome_OUTCOME_ALREADY_INVALID}
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

// slashID is what answers in tests: what is scripted for a token, the last of it for
// ever, and revoked for others.
type slashID struct {
	script map[string][]bulk.Answer
	takes  time.Duration // each call
	always func(token string) (bulk.Answer, bool)

	mu       sync.Mutex
	asked    map[string]int
	begun    []time.Time
	inFlight int
	most     int // at a time
}

func (s *slashID) revoke(_ context.Context, token string) bulk.Answer {
	s.mu.Lock()
	s.inFlight++
	s.most = max(s.most, s.inFlight)
	s.begun = append(s.begun, time.Now())
	if s.asked == nil {
		s.asked = map[string]int{}
	}
	n := s.asked[token]
	s.asked[token]++
	s.mu.Unlock()
	time.Sleep(s.takes) // in synctest's time
	s.mu.Lock()
	defer s.mu.Unlock()
	s.inFlight--
	if s.always != nil {
		if a, ok := s.always(token); ok {
			return a
		}
	}
	if answers := s.script[token]; answers != nil {
		return answers[min(n, len(answers)-1)]
	}
	return revoked
}

func (s *slashID) calls() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.begun)
}

// list is tokens a line.
func list(tokens ...string) *tokenlist.Reader {
	return tokenlist.New(strings.NewReader(strings.Join(tokens, "\n") + "\n"))
}

// many is n tokens.
func many(n int) (tokens []string) {
	for i := range n {
		tokens = append(tokens, token(i))
	}
	return tokens
}

func token(i int) string { return fmt.Sprintf("eyJhIjox.eyJuIjo%d.c2ln", i) }

// fixture is a run with all that it needs.
type fixture struct {
	*slashID

	journal *journal.Journal
	notices *notices
	cfg     bulk.Config
}

type notices struct {
	mu    sync.Mutex
	texts []string
}

func (n *notices) add(text string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.texts = append(n.texts, text)
}

func (n *notices) all() []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Clone(n.texts)
}

func newFixture(t *testing.T, tokens ...string) *fixture {
	t.Helper()
	f := &fixture{slashID: &slashID{}, journal: open(t, filepath.Join(t.TempDir(), "journal")), notices: &notices{}}
	f.cfg = bulk.Config{
		List: list(tokens...), Journal: f.journal, Revoke: f.revoke, Concurrency: 4, Notify: f.notices.add,
	}
	return f
}

func open(t *testing.T, path string) *journal.Journal {
	t.Helper()
	j, err := journal.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = j.Close() })
	return j
}

func (f *fixture) run(t *testing.T) {
	t.Helper()
	if err := bulk.New(f.cfg).Do(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// verdicts are what became of lines 1 to n.
func (f *fixture) verdicts(t *testing.T, n int) (verdicts []journal.Verdict) {
	t.Helper()
	for line := range n {
		r, err := f.journal.Result(int64(line + 1))
		if err != nil {
			t.Fatal(err)
		}
		verdicts = append(verdicts, r.Verdict)
	}
	return verdicts
}

// brokenReader gives what it has, and then an error that is not the end.
type brokenReader struct{ io.Reader }

var errBroken = errors.New("input/output error")

func (r brokenReader) Read(p []byte) (int, error) {
	n, err := r.Reader.Read(p)
	if errors.Is(err, io.EOF) {
		err = errBroken
	}
	return n, err
}

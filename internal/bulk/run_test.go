package bulk_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/quashdev/quash/internal/bulk"
)

func TestEachTokenIsSentOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, append(many(100), token(3), "no token", token(3))...)
		f.takes = time.Second
		f.run(t)
		for i := range 100 {
			if n := f.calls[token(i)]; n != 1 {
				t.Errorf("token %d was sent %d times", i, n)
			}
		}
		if f.count(dead) != 100 || len(f.calls) != 100 || f.maxInFlight != f.Concurrency {
			t.Errorf("%d are dead, %d were sent, %d at a time", f.count(dead), len(f.calls), f.maxInFlight)
		}
		if first := f.Lines[102].First; first == nil || first.Number != 4 {
			t.Errorf("the last line is the same as %v", first)
		}
	})
}

// The result of a token, by the answers to its calls.
func TestResults(t *testing.T) {
	t.Parallel()
	type answers = []bulk.Answer
	for name, tt := range map[string]struct {
		answers   answers
		calls     int
		want      bulk.Result
		untilDead int // calls
		finally   bulk.Result
	}{
		"revoked":                   {answers{revoked}, 1, dead, 1, dead},
		"dead before":               {answers{alreadyInvalid}, 1, deadBefore, 1, deadBefore},
		"rejected":                  {answers{rejected}, 1, isRejected, 1, isRejected},
		"not a token for quash":     {answers{invalid}, 1, notAppliedWhy("INVALID_REQUEST"), 1, notAppliedWhy("INVALID_REQUEST")},
		"accepted":                  {answers{pending, rejected}, 1, isInProgress, 2, deadBefore},
		"accepted, then no quash":   {answers{pending, noQuash, unavailable, rejected}, 1, isInProgress, 4, deadBefore},
		"a moment's trouble":        {answers{unavailable, revoked}, 2, dead, 2, dead},
		"revoked by the lost one":   {answers{unavailable, rejected}, 2, deadBefore, 2, deadBefore},
		"never sent, then rejected": {answers{unreachable, rejected}, 2, isRejected, 2, isRejected},
		"lost, then rate-limited":   {answers{unavailable, limited, rejected}, 3, deadBefore, 3, deadBefore},
		"lasting trouble":           {slices.Concat(slices.Repeat(answers{unavailable}, 6), answers{revoked}), 5, isUnknown, 7, dead},
		// The token does not cause this, so the number of attempts has no limit.
		"rate-limited": {slices.Concat(slices.Repeat(answers{limited}, 7), answers{revoked}), 8, dead, 8, dead},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, untilDead := range []bool{false, true} {
				calls, want := tt.calls, tt.want
				if untilDead {
					calls, want = tt.untilDead, tt.finally
				}
				synctest.Test(t, func(t *testing.T) {
					f := newFixture(t, token(0))
					f.UntilDead = untilDead
					f.script = map[string][]bulk.Answer{token(0): tt.answers}
					f.run(t)
					if got := f.Lines[0].Result; got != want || len(f.begun) != calls {
						t.Errorf("until dead %t: %v after %d calls, want %v after %d", untilDead, got, len(f.begun), want, calls)
					}
				})
			}
		})
	}
}

func notAppliedWhy(reason string) bulk.Result {
	return bulk.Result{Outcome: bulk.NotApplied, Why: reason}
}

// SlashID rejects a token that it has revoked in one region, and never reports when it is dead
// in all regions.
func TestDeadInAllRegions(t *testing.T) {
	t.Parallel()
	somewhere := bulk.Result{Outcome: bulk.InProgress, Why: "TOKEN_REJECTED"}
	for name, tt := range map[string]struct {
		answers []bulk.Answer
		want    bulk.Result
		calls   int
	}{
		"revoked":             {[]bulk.Answer{revoked}, dead, 1},
		"rejected":            {[]bulk.Answer{rejected}, isRejected, 1},
		"accepted":            {[]bulk.Answer{pending, rejected, revoked}, somewhere, 2},
		"lost, then rejected": {[]bulk.Answer{unavailable, rejected, revoked}, somewhere, 2},
		"lost, then revoked":  {[]bulk.Answer{unavailable, revoked}, dead, 2},
		"allowed":             {[]bulk.Answer{pending, alreadyInvalid}, deadBefore, 2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				f := newFixture(t, token(0))
				f.UntilDead, f.AllRegions = true, true
				f.script = map[string][]bulk.Answer{token(0): tt.answers}
				for range 2 { // the second run has nothing to do
					f.run(t)
					if got := f.Lines[0].Result; got != tt.want || len(f.begun) != tt.calls {
						t.Errorf("%v after %d calls, want %v after %d", got, len(f.begun), tt.want, tt.calls)
					}
				}
			})
		})
	}
}

func TestATokenWaitsAsLongAsTheServerAsks(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, many(4)...)
		f.Concurrency = 1
		patient := unavailable
		patient.RetryDelay = 20 * time.Second
		f.script = map[string][]bulk.Answer{token(0): {patient, revoked}, token(1): {unavailable, revoked}}
		f.run(t)
		for call, limit := range [][2]time.Duration{{}, {}, {}, {}, {time.Second, 2 * time.Second}, {20 * time.Second, 26 * time.Second}} {
			if at := f.begun[call].Sub(f.begun[0]); at < limit[0] || at > limit[1] {
				t.Errorf("call %d came after %s", call, at)
			}
		}
	})
}

// After RESOURCE_EXHAUSTED all calls wait, and the run reports a long wait.
func TestAllPauseWhenTheServerIsExhausted(t *testing.T) {
	t.Parallel()
	for delay, said := range map[time.Duration]string{
		7 * time.Second:  "",
		10 * time.Minute: "pausing for 10m0s, as the server requests (UPSTREAM_RATE_LIMITED)",
	} {
		synctest.Test(t, func(t *testing.T) {
			f := newFixture(t, many(10)...)
			f.takes = time.Second
			patient := limited
			patient.RetryDelay = delay
			f.always = func(string) (bulk.Answer, bool) { return patient, len(f.begun) <= 4 }
			f.run(t)
			if waited := f.begun[4].Sub(f.begun[0]); waited < delay || waited > delay+2*time.Second {
				t.Errorf("the next call came after %s, want %s", waited, delay)
			}
			if f.said() != said {
				t.Errorf("it said:\n%s", f.said())
			}
		})
	}
}

func TestRate(t *testing.T) {
	t.Parallel()
	for _, rate := range []float64{0.5, 10, 250, 3000} {
		synctest.Test(t, func(t *testing.T) {
			f := newFixture(t, many(1000)...)
			f.Rate = rate
			f.run(t)
			window := map[time.Duration]int{}
			for _, begun := range f.begun {
				window[begun.Sub(f.begun[0]).Truncate(time.Second)]++
			}
			for second, n := range window {
				if float64(n) > rate+max(1, rate/100) {
					t.Errorf("rate %g: %d calls in the second after %s", rate, n, second)
				}
			}
			if took, want := f.begun[999].Sub(f.begun[0]).Seconds(), 1000/rate; took < 0.95*want-1 || took > 1.05*want {
				t.Errorf("rate %g: 1000 calls took %.2f s, want about %.2f", rate, took, want)
			}
		})
	}
}

// During an outage the run makes few calls, and resumes the list after it.
func TestAnOutageDoesNotUseUpTheList(t *testing.T) {
	t.Parallel()
	refused := noQuash
	refused.Message = "connection refused"
	for cause, answer := range map[string]bulk.Answer{
		"UPSTREAM_UNAVAILABLE":            unavailable,
		"UNAVAILABLE: connection refused": refused,
		"UPSTREAM_CREDENTIAL_REJECTED":    keyRefused,
	} {
		t.Run(cause, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				f := newFixture(t, many(500)...)
				f.Concurrency = 16
				until := time.Now().Add(4 * time.Minute)
				f.takes = time.Millisecond
				f.always = func(string) (bulk.Answer, bool) { return answer, time.Now().Before(until) }
				f.run(t)
				if f.count(dead) != 500 {
					t.Errorf("%d are dead", f.count(dead))
				}
				// Each of the 15 answers before the one that makes it an outage may start another
				// call. Then there are 12 probes: after 1, 2, 4, 8 and 16 s, and every 30 s.
				if wasted := len(f.begun) - 500; wasted > 16+15+12 {
					t.Errorf("%d calls during the outage", wasted)
				}
				if !strings.Contains(f.said(), "outage: no call gets through ("+cause+")") || !strings.Contains(f.said(), "outage over after 4m") {
					t.Errorf("it said:\n%s", f.said())
				}
				if len(f.notices) > 2 {
					t.Errorf("it said so in %d lines:\n%s", len(f.notices), f.said())
				}
			})
		})
	}
}

// A long outage ends the run, even if the server asks for a long delay, and even if few tokens
// are left.
func TestAnOutageThatLastsEndsTheRun(t *testing.T) {
	t.Parallel()
	patient := unavailable
	patient.RetryDelay = 3 * time.Hour
	for name, tt := range map[string]struct {
		answer bulk.Answer
		fails  int // the number of tokens that fail
	}{
		"no quash":       {noQuash, 500},
		"a long delay":   {patient, 500},
		"one token left": {keyRefused, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				tokens := many(500)
				f := newFixture(t, tokens...)
				f.always = func(token string) (bulk.Answer, bool) {
					return tt.answer, slices.Contains(tokens[:tt.fails], token)
				}
				begun := time.Now()
				if err := bulk.New(f.Config).Do(t.Context()); !errors.Is(err, bulk.ErrOutage) {
					t.Fatal(err)
				}
				if took := time.Since(begun); took < 5*time.Minute || took > 10*time.Minute {
					t.Errorf("it ended after %s", took)
				}
				if tt.fails == len(tokens) && len(f.calls) > 30 {
					t.Errorf("%d tokens were sent", len(f.calls))
				}
			})
		})
	}
}

// If SlashID fails for enough tokens in a row, that looks like an outage. The tokens after them
// must still be revoked.
func TestTokensThatFailDoNotKeepTheOthersAlive(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		tokens := many(500)
		f := newFixture(t, tokens...)
		f.always = func(token string) (bulk.Answer, bool) { return unavailable, slices.Contains(tokens[:12], token) }
		if err := bulk.New(f.Config).Do(t.Context()); err != nil && !errors.Is(err, bulk.ErrOutage) {
			t.Error(err)
		}
		if f.count(dead) != 488 || f.count(isUnknown) != 12 {
			t.Errorf("%d are dead, and %d unknown", f.count(dead), f.count(isUnknown))
		}
	})
}

// With UntilDead an outage never ends the run.
func TestUntilDeadOutlastsAnyOutage(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, many(20)...)
		f.UntilDead = true
		until := time.Now().Add(24 * time.Hour)
		f.always = func(string) (bulk.Answer, bool) { return unavailable, time.Now().Before(until) }
		f.run(t)
		if f.count(dead) != 20 {
			t.Errorf("%d are dead", f.count(dead))
		}
	})
}

// Tokens that stay in progress do not delay the other tokens.
func TestUntilDeadGoesThroughTheList(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		tokens := many(200)
		f := newFixture(t, tokens...)
		f.UntilDead = true
		f.always = func(token string) (bulk.Answer, bool) { return pending, slices.Contains(tokens[:100], token) }
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := bulk.New(f.Config).Do(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatal(err)
		}
		if f.count(dead) != 100 {
			t.Errorf("%d are dead", f.count(dead))
		}
	})
}

func TestCallsInFlightAreFinished(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, many(100)...)
		f.takes = time.Minute
		ctx, cancel := context.WithTimeout(t.Context(), 90*time.Second)
		defer cancel()
		run := bulk.New(f.Config)
		if err := run.Do(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
		want := bulk.Progress{Tokens: 100, Settled: 8, Calls: 8, Outcomes: map[bulk.Outcome]int{bulk.Dead: 8, bulk.NotAsked: 92}}
		if diff := cmp.Diff(want, run.Progress()); diff != "" || f.count(dead) != 8 {
			t.Errorf("%d are dead, and the progress is wrong (-want +got):\n%s", f.count(dead), diff)
		}
	})
}

var errFull = errors.New("no space left on device")

// fullJournal fails after room records.
type fullJournal struct{ room int }

func (j *fullJournal) Sending(*bulk.Line) error { return j.Answered(nil) }

func (j *fullJournal) Answered(*bulk.Line) error {
	if j.room--; j.room < 0 {
		return errFull
	}
	return nil
}

func TestAFullJournalEndsTheRun(t *testing.T) {
	t.Parallel()
	for room := range 12 {
		synctest.Test(t, func(t *testing.T) {
			f := newFixture(t, many(100)...)
			f.Concurrency = 1
			f.Journal = &fullJournal{room}
			if err := bulk.New(f.Config).Do(t.Context()); !errors.Is(err, errFull) {
				t.Errorf("room for %d: %v", room, err)
			}
			if len(f.begun) != (room+1)/2 {
				t.Errorf("room for %d: %d calls, and what is not recorded must not be sent", room, len(f.begun))
			}
		})
	}
}

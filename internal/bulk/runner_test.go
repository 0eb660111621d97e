package bulk_test

import (
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/quashdev/quash/internal/bulk"
	"github.com/quashdev/quash/internal/bulk/journal"
	"github.com/quashdev/quash/internal/bulk/tokenlist"
)

func TestEachTokenIsAskedAboutOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, many(100)...)
		f.takes = time.Second
		f.run(t)
		for i := range 100 {
			if n := f.asked[token(i)]; n != 1 {
				t.Errorf("token %d was sent %d times", i, n)
			}
		}
		if counts := f.journal.Counts(); counts[journal.Revoked] != 100 {
			t.Errorf("%v", counts)
		}
		if f.most != f.cfg.Concurrency {
			t.Errorf("%d calls at a time, want %d", f.most, f.cfg.Concurrency)
		}
	})
}

// What becomes of a line, by the answers to its token.
func TestVerdicts(t *testing.T) {
	t.Parallel()
	type answers = []bulk.Answer
	for name, tt := range map[string]struct {
		answers   answers
		calls     int
		want      journal.Verdict
		untilDead int // calls
		finally   journal.Verdict
	}{
		"revoked":                       {answers{revoked}, 1, journal.Revoked, 1, journal.Revoked},
		"dead before":                   {answers{alreadyInvalid}, 1, journal.AlreadyInvalid, 1, journal.AlreadyInvalid},
		"rejected":                      {answers{rejected}, 1, journal.Rejected, 1, journal.Rejected},
		"not a token for quash":         {answers{invalid}, 1, journal.NotApplied, 1, journal.NotApplied},
		"accepted":                      {answers{pending, rejected}, 1, journal.InProgress, 2, journal.AlreadyInvalid},
		"accepted, then quash away":     {answers{pending, noQuash, unavailable, rejected}, 1, journal.InProgress, 4, journal.AlreadyInvalid},
		"a moment's trouble":            {answers{unavailable, revoked}, 2, journal.Revoked, 2, journal.Revoked},
		"revoked by the lost one":       {answers{unavailable, rejected}, 2, journal.AlreadyInvalid, 2, journal.AlreadyInvalid},
		"never got there, then refused": {answers{unreachable, rejected}, 2, journal.Rejected, 2, journal.Rejected},
		"lost, then not even sent":      {answers{unavailable, limited, rejected}, 3, journal.AlreadyInvalid, 3, journal.AlreadyInvalid},
		"lasting trouble":               {answers{unavailable, unavailable, unavailable, unavailable, unavailable, unavailable, revoked}, 5, journal.Unknown, 7, journal.Revoked},
		// It is not the token's fault, and others get through: it is asked as long as it takes.
		"turned away": {answers{limited, limited, limited, limited, limited, limited, limited, revoked}, 8, journal.Revoked, 8, journal.Revoked},
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
					f.cfg.UntilDead = untilDead
					f.script = map[string][]bulk.Answer{token(0): tt.answers}
					f.run(t)
					if got := f.verdicts(t, 1); got[0] != want || f.calls() != calls {
						t.Errorf("until dead %t: verdict %d after %d calls, want %d after %d", untilDead, got[0], f.calls(), want, calls)
					}
				})
			}
		})
	}
}

// SlashID rejects what it has revoked somewhere. That is not everywhere, and it never says
// when it is.
func TestDeadInAllRegions(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		answers []bulk.Answer
		want    journal.Verdict
		calls   int
	}{
		"revoked":             {[]bulk.Answer{revoked}, journal.Revoked, 1},
		"rejected":            {[]bulk.Answer{rejected}, journal.Rejected, 1},
		"accepted":            {[]bulk.Answer{pending, rejected, revoked}, journal.InProgress, 2},
		"lost, then rejected": {[]bulk.Answer{unavailable, rejected, revoked}, journal.InProgress, 2},
		"lost, then revoked":  {[]bulk.Answer{unavailable, revoked}, journal.Revoked, 2},
		"allowed":             {[]bulk.Answer{pending, alreadyInvalid}, journal.AlreadyInvalid, 2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				f := newFixture(t, token(0))
				f.cfg.UntilDead, f.cfg.AllRegions = true, true
				f.script = map[string][]bulk.Answer{token(0): tt.answers}
				f.run(t)
				if got := f.verdicts(t, 1); got[0] != tt.want || f.calls() != tt.calls {
					t.Errorf("verdict %d after %d calls, want %d after %d", got[0], f.calls(), tt.want, tt.calls)
				}
				f.cfg.List = list(token(0))
				f.run(t)
				if got := f.verdicts(t, 1); got[0] != tt.want || f.calls() != tt.calls {
					t.Errorf("the next run makes it verdict %d, after %d calls", got[0], f.calls())
				}
			})
		})
	}
}

func TestALineWaitsAsLongAsTheServerAsks(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, many(3)...)
		f.cfg.Concurrency = 1
		patient := unavailable
		patient.RetryDelay = 20 * time.Second
		f.script = map[string][]bulk.Answer{token(0): {patient, revoked}}
		f.run(t)
		if len(f.begun) != 4 {
			t.Fatalf("%d calls", len(f.begun))
		}
		if waited := f.begun[3].Sub(f.begun[0]); waited < 20*time.Second || waited > 26*time.Second {
			t.Errorf("asked again after %s", waited)
		}
		if others := f.begun[2].Sub(f.begun[0]); others > 0 {
			t.Errorf("others waited for it, %s", others)
		}
	})
}

// Where calls come too fast, all of them wait.
func TestAllPauseWhenTheServerIsExhausted(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, many(10)...)
		f.cfg.Concurrency = 1
		f.script = map[string][]bulk.Answer{token(0): {limited, revoked}}
		f.run(t)
		if waited := f.begun[1].Sub(f.begun[0]); waited < 7*time.Second {
			t.Errorf("the next call came after %s", waited)
		}
	})
}

// Whoever watches a run that does nothing for minutes wants to know why.
func TestALongPauseIsTold(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, many(10)...)
		patient := limited
		patient.RetryDelay = 10 * time.Minute
		f.takes = time.Second
		f.always = func(string) (bulk.Answer, bool) { return patient, len(f.begun) <= 4 }
		f.run(t)
		want := []string{"nothing is asked for 10m0s, as the server wants it (UPSTREAM_RATE_LIMITED)"}
		if diff := cmp.Diff(want, f.notices.all()); diff != "" {
			t.Error(diff)
		}
	})
}

func TestRate(t *testing.T) {
	t.Parallel()
	for _, rate := range []float64{0.5, 10, 250, 3000} {
		synctest.Test(t, func(t *testing.T) {
			f := newFixture(t, many(1000)...)
			f.cfg.Rate = rate
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

// While nothing gets through, the list is left alone, however long that is.
func TestAnOutageDoesNotUseUpTheList(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]bulk.Answer{"SlashID fails": unavailable, "no quash": noQuash, "the key is refused": keyRefused} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				f := newFixture(t, many(500)...)
				f.cfg.Concurrency = 16
				until := time.Now().Add(4 * time.Minute)
				f.takes = time.Millisecond
				f.always = func(string) (bulk.Answer, bool) { return answer, time.Now().Before(until) }
				f.run(t)
				if counts := f.journal.Counts(); counts[journal.Revoked] != 500 {
					t.Errorf("%v", counts)
				}
				// Each of the 15 answers before the one that shows the outage may let another
				// call begin. Then there are 12 tries: after 1, 2, 4, 8 and 16 s, and every 30 s.
				if wasted := f.calls() - 500; wasted > 16+15+12 {
					t.Errorf("%d calls during the outage", wasted)
				}
				said := strings.Join(f.notices.all(), "\n")
				if !strings.Contains(said, "nothing gets through ("+answer.Cause()+")") || !strings.Contains(said, "calls get through again, after 4m") {
					t.Errorf("it was told:\n%s", said)
				}
				if n := len(f.notices.all()); n > 12 {
					t.Errorf("it was told in %d lines:\n%s", n, said)
				}
			})
		})
	}
}

func TestAnOutageThatLastsEndsTheRun(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, many(500)...)
		f.always = func(string) (bulk.Answer, bool) { return noQuash, true }
		begun := time.Now()
		run := bulk.New(f.cfg)
		if err := run.Do(t.Context()); !errors.Is(err, bulk.ErrOutage) {
			t.Fatal(err)
		}
		if waited := time.Since(begun); waited < 5*time.Minute || waited > 7*time.Minute {
			t.Errorf("it ended after %s", waited)
		}
		if line := run.Progress().Line; line > 20 {
			t.Errorf("%d lines of the list were read", line)
		}
	})
}

// Lines that SlashID cannot do look like an outage, if there are enough of them. Those
// after them are done all the same.
func TestLinesThatCannotBeDoneDoNotKeepTheOthersAlive(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		tokens := many(500)
		f := newFixture(t, tokens...)
		hopeless := tokens[:12]
		f.always = func(token string) (bulk.Answer, bool) { return unavailable, slices.Contains(hopeless, token) }
		f.run(t)
		counts := f.journal.Counts()
		if counts[journal.Revoked] != 488 || counts[journal.Unknown] != 12 {
			t.Errorf("%v", counts)
		}
	})
}

// A pipe that says nothing does not keep the lines that wait from being tried.
func TestASilentListDoesNotKeepAnOutageGoing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t)
		r, w := io.Pipe()
		f.cfg.List = tokenlist.New(r)
		until := time.Now().Add(time.Minute)
		f.always = func(string) (bulk.Answer, bool) { return unavailable, time.Now().Before(until) }
		go func() {
			_, _ = io.WriteString(w, strings.Join(many(8), "\n")+"\n")
			time.Sleep(10 * time.Minute)
			_ = w.Close()
		}()
		run := bulk.New(f.cfg)
		go func() {
			time.Sleep(4 * time.Minute)
			if counts := f.journal.Counts(); counts[journal.Revoked] != 8 {
				t.Errorf("%v", counts)
			}
		}()
		if err := run.Do(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

// The last lines of a list are no more than they are: it is not waited for as many
// failures as there are in a longer one.
func TestAFewLinesThatAreLeftDoNotKeepARunGoing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		tokens := many(500)
		f := newFixture(t, tokens...)
		f.cfg.Concurrency = 64
		f.always = func(token string) (bulk.Answer, bool) { return keyRefused, token == tokens[17] }
		begun := time.Now()
		if err := bulk.New(f.cfg).Do(t.Context()); !errors.Is(err, bulk.ErrOutage) {
			t.Error(err)
		}
		if took := time.Since(begun); took > 10*time.Minute {
			t.Errorf("it ended after %s", took)
		}
	})
}

// A server that wants to be left alone for hours does not keep a run from ending.
func TestALongDelayDoesNotProlongAnOutage(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, many(20)...)
		answer := unavailable
		answer.RetryDelay = 3 * time.Hour
		f.always = func(string) (bulk.Answer, bool) { return answer, true }
		begun := time.Now()
		if err := bulk.New(f.cfg).Do(t.Context()); !errors.Is(err, bulk.ErrOutage) {
			t.Error(err)
		}
		if took := time.Since(begun); took > 6*time.Minute {
			t.Errorf("it ended after %s", took)
		}
	})
}

// What gRPC says of a quash that cannot be reached is what there is to mend.
func TestAnOutageSaysWhatGRPCSays(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, many(20)...)
		answer := noQuash
		answer.Message = "connection refused"
		until := time.Now().Add(time.Minute)
		f.always = func(string) (bulk.Answer, bool) { return answer, time.Now().Before(until) }
		f.run(t)
		if said := strings.Join(f.notices.all(), "\n"); !strings.Contains(said, "nothing gets through (UNAVAILABLE: connection refused)") {
			t.Errorf("it was told:\n%s", said)
		}
	})
}

// Until all is dead there is no end to it but the user's.
func TestUntilDeadOutlastsAnyOutage(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, many(20)...)
		f.cfg.UntilDead = true
		until := time.Now().Add(24 * time.Hour)
		f.always = func(string) (bulk.Answer, bool) { return unavailable, time.Now().Before(until) }
		f.run(t)
		if counts := f.journal.Counts(); counts[journal.Revoked] != 20 {
			t.Errorf("%v", counts)
		}
	})
}

// The tokens of lines that wait are all that is held of a list.
func TestFewLinesWait(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, many(10_000)...)
		f.cfg.UntilDead = true
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		f.always = func(string) (bulk.Answer, bool) { return pending, true }
		run := bulk.New(f.cfg)
		if err := run.Do(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatal(err)
		}
		if p := run.Progress(); p.Waiting < 1000 || p.Waiting > 2048+4 || p.Line > 2048+4 {
			t.Errorf("%+v", p)
		}
	})
}

func TestWhatIsInFlightIsFinished(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, many(100)...)
		f.takes = time.Minute
		ctx, cancel := context.WithCancel(t.Context())
		go func() {
			time.Sleep(90 * time.Second)
			cancel()
		}()
		if err := bulk.New(f.cfg).Do(ctx); !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
		if counts := f.journal.Counts(); f.calls() != 8 || counts[journal.Revoked] != 8 {
			t.Errorf("%d calls, %v", f.calls(), counts)
		}
	})
}

// A pipe may say nothing for ever.
func TestASilentListDoesNotKeepARunFromEnding(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		in, out := io.Pipe()
		f := newFixture(t)
		f.cfg.List = tokenlist.New(in)
		ctx, cancel := context.WithCancel(t.Context())
		go func() {
			_, _ = io.WriteString(out, token(1)+"\n")
			time.Sleep(time.Hour)
			cancel()
		}()
		if err := bulk.New(f.cfg).Do(ctx); !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
		if got := f.verdicts(t, 1); got[0] != journal.Revoked {
			t.Errorf("%v", got)
		}
		_ = out.Close() // else the reader is here for ever
	})
}

func TestLinesWithoutATokenAreTold(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, token(1), `{"token": 3}`, "", token(2), "two words")
		f.run(t)
		want := []journal.Verdict{journal.Revoked, journal.Problem, journal.Empty, journal.Revoked, journal.Problem}
		if diff := cmp.Diff(want, f.verdicts(t, 5)); diff != "" {
			t.Error(diff)
		}
		said := f.notices.all()
		if len(said) != 2 || !strings.HasPrefix(said[0], "line 2 ") || !strings.HasPrefix(said[1], "line 5 ") {
			t.Errorf("%q", said)
		}
	})
}

func TestDuplicatesAreSentOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, token(1), token(2), token(1), token(1))
		f.run(t)
		if f.calls() != 2 {
			t.Errorf("%d calls", f.calls())
		}
		for _, line := range []int64{3, 4} {
			if r, err := f.journal.Result(line); err != nil || r.Verdict != journal.Duplicate || r.First != 1 {
				t.Errorf("line %d: %+v, %v", line, r, err)
			}
		}
	})
}

func TestAListThatCannotBeReadOn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t)
		f.cfg.List = tokenlist.New(brokenReader{strings.NewReader(token(1) + "\n" + token(2) + "\n")})
		f.script = map[string][]bulk.Answer{token(2): {unavailable, revoked}}
		if err := bulk.New(f.cfg).Do(t.Context()); !errors.Is(err, errBroken) {
			t.Error(err)
		}
		if counts := f.journal.Counts(); counts[journal.Revoked] != 2 {
			t.Errorf("what had been read is not finished: %v", counts)
		}
	})
}

// fullJournal can hold so much and no more.
type fullJournal struct {
	*journal.Journal

	room int
}

var errFull = errors.New("no space left on device")

func (j *fullJournal) write(err error) error {
	if j.room--; j.room < 0 {
		return errFull
	}
	return err
}

func (j *fullJournal) Sending(line int64) error { return j.write(j.Journal.Sending(line)) }

func (j *fullJournal) Record(line int64, r journal.Result) error {
	return j.write(j.Journal.Record(line, r))
}

func TestAFullJournalEndsTheRun(t *testing.T) {
	t.Parallel()
	for room := range 12 {
		synctest.Test(t, func(t *testing.T) {
			f := newFixture(t, many(100)...)
			f.takes = time.Second
			f.cfg.Journal = &fullJournal{f.journal, room}
			err := bulk.New(f.cfg).Do(t.Context())
			if !errors.Is(err, errFull) || strings.Count(err.Error(), errFull.Error()) != 1 {
				t.Errorf("room for %d: %v", room, err)
			}
			if f.calls() > room {
				t.Errorf("room for %d: %d calls, and what is not noted must not be sent", room, f.calls())
			}
		})
	}
}

// A second run goes on where the first one ended.
func TestASecondRunRepeatsNothing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		tokens := many(50)
		f := newFixture(t, tokens...)
		f.takes = time.Second
		ctx, cancel := context.WithTimeout(t.Context(), 5500*time.Millisecond)
		defer cancel()
		if err := bulk.New(f.cfg).Do(ctx); err == nil {
			t.Fatal("the first run was not interrupted")
		}
		f.cfg.List = list(tokens...)
		f.run(t)
		if counts := f.journal.Counts(); f.calls() != 50 || counts[journal.Revoked] != 50 {
			t.Errorf("%d calls, %v", f.calls(), counts)
		}
	})
}

// What a run that was killed had sent may be dead: that it is rejected then is success.
func TestWhatWasSentBeforeAKillIsAskedAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, token(1), token(2))
		if _, err := f.journal.Begin(1, token(1)); err != nil {
			t.Fatal(err)
		}
		if err := f.journal.Sending(1); err != nil {
			t.Fatal(err)
		}
		f.always = func(string) (bulk.Answer, bool) { return rejected, true }
		f.run(t)
		want := []journal.Verdict{journal.AlreadyInvalid, journal.Rejected}
		if diff := cmp.Diff(want, f.verdicts(t, 2)); diff != "" {
			t.Error(diff)
		}
	})
}

package main

import (
	"context"
	"errors"
	"fmt"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/quashdev/quash/internal/bulk"
)

// listFlags are the flags for a list of tokens.
type listFlags struct {
	File        fileName `env:"-" placeholder:"FILE" help:"File with the list: one token per line, or one JSON object with a member token per line. - reads standard input."`
	Concurrency int      `default:"64" env:"-" help:"Maximum number of calls in flight, 1 to 1000."`
	Rate        float64  `env:"-" placeholder:"N" help:"Maximum number of calls per second; 0 means no limit."`
	Journal     fileName `env:"-" placeholder:"FILE" help:"File that records the outcome of each line, so that the same command can resume an interrupted run. It contains no tokens. Default: the name of the list with .journal added; none if the list cannot be read again."`
	Report      fileName `env:"-" placeholder:"FILE" help:"File for the report, which is written as JSON at the end of the run."`
	UntilDead   bool     `env:"-" help:"Continue until SlashID reports every token as revoked or invalid, without a time limit."`
}

const (
	stdinName = "-"
	// shownProblems is how many lines without a token are printed.
	shownProblems = 20
	// maxConcurrency is the number of calls that quash accepts on one connection by default.
	// More calls would also take capacity from other callers.
	maxConcurrency = 1000
)

func (f *listFlags) check(wrong *usageError) {
	checkRange(wrong, "--concurrency", f.Concurrency, 1, maxConcurrency)
	if !(f.Rate >= 0) { // also rejects NaN
		wrong.addf("--rate: must be at least 0, got %v", f.Rate)
	}
	if f.File == "" && (f.Journal != "" || f.Report != "" || f.Rate != 0 || f.UntilDead) {
		wrong.addf("--journal, --report, --rate and --until-dead need a list of tokens: set --file")
	}
}

// revokeList revokes the tokens of a list.
func (c *revokeCmd) revokeList(ctx context.Context, std streams) (err error) {
	// Ctrl-C also ends the program that reads the output, such as tee. Without this line the
	// next write would end this process before it has recorded the calls in flight.
	signal.Ignore(syscall.SIGPIPE)
	list, err := c.readList(ctx, std)
	if err != nil {
		return err
	}
	journal, err := c.openFiles(list)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, journal.Close()) }()
	quash, err := c.dial(1) // the run retries itself, and the journal must know each attempt
	if err != nil {
		return err
	}
	defer func() { _ = quash.Close() }()

	progress := newProgress(std.err)
	if journal.Resumed() {
		progress.say("resuming from the journal " + c.journalPath(list))
	}
	if c.journalPath(list) == "" {
		progress.say("this run cannot be resumed if it is interrupted: set --journal to make that possible")
	}
	sayProblems(progress, list.lines)
	about := bulk.About{
		List: string(c.File), Server: c.Addr, Consistency: c.Consistency,
		StartedAt: time.Now().UTC(), Resumed: journal.Resumed(), ReadToLine: bulk.LastLine(list.lines),
	}
	runErr := journal.Restore(list.lines)
	if runErr == nil {
		run := bulk.New(bulk.Config{
			Lines:       list.lines,
			Journal:     journal,
			Revoke:      func(ctx context.Context, token string) bulk.Answer { return answerOf(c.call(ctx, quash, token)) },
			Concurrency: c.Concurrency,
			Rate:        c.Rate,
			AllRegions:  c.Consistency == bulk.AllRegions,
			UntilDead:   c.UntilDead,
			Notify:      progress.say,
		})
		stopProgress := progress.follow(ctx, run.Progress)
		runErr = run.Do(ctx)
		stopProgress()
	}
	about.EndedAt = time.Now().UTC()
	about.WhyIncomplete = whyIncomplete(runErr, list.readErr, list.changed())
	about.Complete = about.WhyIncomplete == ""
	return c.finish(std, bulk.NewReport(about, list.lines))
}

// sayProblems prints the first lines without a token. The report has all of them.
func sayProblems(progress *progress, lines []bulk.Line) {
	shown := 0
	for _, line := range lines {
		if line.Result.Outcome != bulk.NoToken {
			continue
		}
		if shown++; shown > shownProblems {
			progress.say("more lines without a token: the report has all of them")
			return
		}
		progress.say(fmt.Sprintf("line %d %s", line.Number, line.Result.Why))
	}
}

// whyIncomplete joins the reasons why a list is incomplete; "" without errors.
func whyIncomplete(errs ...error) string {
	var texts []string
	for _, err := range errs {
		switch {
		case errors.Is(err, context.Canceled):
			texts = append(texts, "the run was interrupted")
		case err != nil:
			texts = append(texts, withoutTokens(err.Error()))
		}
	}
	return strings.Join(texts, ", and ")
}

// finish writes the report, and returns the error that sets the exit code.
func (c *revokeCmd) finish(std streams, report *bulk.Report) error {
	write := report.WriteText
	if c.Output == "json" {
		write = report.WriteJSON
	}
	var incomplete, unwritten error
	if !report.Complete {
		incomplete = errors.New(report.WhyIncomplete)
	}
	if c.Report != "" {
		unwritten = report.WriteFile(string(c.Report))
	}
	if unwritten = errors.Join(unwritten, write(std.out)); unwritten != nil {
		unwritten = fmt.Errorf("write the report (run the same command again to write it): %w", unwritten)
	}
	if err := errors.Join(incomplete, unwritten); err != nil {
		return &codedError{err, exitIncomplete}
	}
	if report.Lines() == 0 { // the program that writes the list has probably failed
		return &codedError{errors.New("nothing was revoked"), exitIncomplete}
	}
	code := exitOK
	for outcome, of := range exitCodes {
		if report.Count(outcome) > 0 {
			code = max(code, of)
		}
	}
	if code != exitOK {
		return &codedError{errors.New(""), code}
	}
	return nil
}

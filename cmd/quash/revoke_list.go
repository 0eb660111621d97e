package main

import (
	"context"
	"errors"
	"fmt"
	"os/signal"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/quashdev/quash/client"
	"github.com/quashdev/quash/internal/bulk"
)

// listFlags are for many tokens.
type listFlags struct {
	File        fileName  `env:"-" placeholder:"FILE" help:"The list: a token a line, or an object of JSON with a member token; - for standard input."`
	Concurrency int       `default:"64" env:"-" help:"How many tokens are asked about at a time."`
	Rate        perSecond `env:"-" placeholder:"N" help:"How many are asked about in a second at the most; any number otherwise."`
	Journal     fileName  `env:"-" placeholder:"FILE" help:"Where to keep what became of each line, so that the same command goes on where one ended: FILE.journal of the list otherwise. It has no tokens."`
	Report      fileName  `env:"-" placeholder:"FILE" help:"Where to write the report, as JSON, at the end."`
	UntilDead   bool      `env:"-" help:"Go on until SlashID calls every token revoked or invalid, however long that takes."`
}

const (
	stdinName = "-"
	// shownProblems is how many lines without a token the operator is told about.
	shownProblems = 20
	// callsPerConnection is how many calls go over one connection: a quash takes so many
	// at the same time, and one connection is served by few threads at either end.
	callsPerConnection = 250
	mostConcurrency    = 10_000
)

func (f *listFlags) check(withToken bool) (problems []string) {
	if f.Concurrency < 1 || f.Concurrency > mostConcurrency {
		problems = append(problems, fmt.Sprintf("--concurrency must be from 1 to %d, and is %d", mostConcurrency, f.Concurrency))
	}
	if f.File != "" {
		if withToken {
			problems = append(problems, "--file and --token-file exclude each other")
		}
		return problems
	}
	for _, flag := range []struct {
		name  string
		given bool
	}{
		{"--journal", f.Journal != ""},
		{"--report", f.Report != ""},
		{"--rate", f.Rate != 0},
		{"--until-dead", f.UntilDead},
	} {
		if flag.given {
			problems = append(problems, flag.name+" is for a list, which --file names")
		}
	}
	return problems
}

// revokeList revokes the tokens of a list.
func (c *revokeCmd) revokeList(ctx context.Context, std streams) (err error) {
	// Ctrl-C also ends the program that reads the output, tee for instance: that must not
	// keep calls in flight from being finished and recorded.
	signal.Ignore(syscall.SIGPIPE)
	list, err := c.readList(ctx, std)
	if err != nil {
		return err
	}
	journal, err := c.openJournal(list)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, journal.Close()) }()
	if err := c.checkReport(list); err != nil {
		return err
	}
	quash, closeAll, err := c.dialMany()
	if err != nil {
		return err
	}
	defer closeAll()

	progress := newProgress(std.err)
	if journal.Resumed() {
		progress.say(fmt.Sprintf("going on with what %s has", c.journalPath(list)))
	}
	if c.journalPath(list) == "" {
		progress.say("without --journal this cannot be gone on with when it is interrupted")
	}
	sayProblems(progress, list.lines)
	about := bulk.About{
		List: string(c.File), Server: c.Addr, Consistency: c.Consistency.String(),
		StartedAt: time.Now().UTC(), Resumed: journal.Resumed(), ReadToLine: bulk.LastLine(list.lines),
	}
	runErr := journal.Restore(list.lines)
	if runErr == nil {
		run := bulk.New(bulk.Config{
			Lines:       list.lines,
			Journal:     journal,
			Revoke:      func(ctx context.Context, token string) bulk.Answer { return answerOf(c.call(ctx, quash(), token)) },
			Concurrency: c.Concurrency,
			Rate:        float64(c.Rate),
			AllRegions:  c.Consistency.String() == bulk.AllRegions,
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
	return c.tell(std, bulk.NewReport(about, list.lines))
}

// sayProblems tells of the first lines without a token. All of them are in the report.
func sayProblems(progress *progress, lines []bulk.Line) {
	shown := 0
	for _, line := range lines {
		if line.Result.Outcome != bulk.NoToken {
			continue
		}
		if shown++; shown == shownProblems {
			progress.say(fmt.Sprintf("line %d %s; further lines like that are in the report", line.Number, line.Result.Why))
			return
		}
		progress.say(fmt.Sprintf("line %d %s", line.Number, line.Result.Why))
	}
}

// dialMany makes as many clients as the calls need, each with a connection of its own.
// next returns them in turn.
func (c *revokeCmd) dialMany() (next func() *client.Client, closeAll func(), err error) {
	clients := make([]*client.Client, (c.Concurrency+callsPerConnection-1)/callsPerConnection)
	for i := range clients {
		// One attempt: the run repeats calls, and knows of all of them.
		if clients[i], err = c.dial(1); err != nil {
			return nil, nil, err
		}
	}
	var turn atomic.Uint32
	next = func() *client.Client { return clients[int(turn.Add(1))%len(clients)] }
	return next, func() {
		for _, one := range clients {
			_ = one.Close()
		}
	}, nil
}

// whyIncomplete joins the reasons for which a list may not be done, "" if there is none.
func whyIncomplete(errs ...error) string {
	var texts []string
	for _, err := range errs {
		switch {
		case errors.Is(err, context.Canceled):
			texts = append(texts, "it was interrupted")
		case err != nil:
			texts = append(texts, withoutTokens(err.Error()))
		}
	}
	return strings.Join(texts, ", and ")
}

// tell writes the report, and returns how the command is to end.
func (c *revokeCmd) tell(std streams, report *bulk.Report) error {
	write := report.WriteText
	if c.Output == outputJSON {
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
		unwritten = fmt.Errorf("write the report, which the same command does again: %w", unwritten)
	}
	if err := errors.Join(incomplete, unwritten); err != nil {
		return &codedError{err, exitIncomplete}
	}
	if report.Lines() == 0 { // most likely the program that writes the list has failed
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

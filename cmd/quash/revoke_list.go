package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/quashdev/quash/client"
	"github.com/quashdev/quash/internal/bulk"
	"github.com/quashdev/quash/internal/bulk/journal"
	"github.com/quashdev/quash/internal/bulk/tokenlist"
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
	// Ctrl-C ends whatever reads the output too, tee for instance: that must not keep
	// what is in flight from being finished, and noted.
	signal.Ignore(syscall.SIGPIPE)
	list, err := c.openList(ctx, std)
	if err != nil {
		return err
	}
	defer func() { _ = list.Close() }()
	notes, err := c.openFiles(list)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, notes.Close()) }()
	if err := notes.Bind(c.terms()); err != nil {
		return err
	}
	quash, closeAll, err := c.dialMany()
	if err != nil {
		return err
	}
	defer closeAll()

	progress := newProgress(std.err, list)
	if notes.Resumed() {
		progress.say(fmt.Sprintf("going on with what %s has", c.journalPath(list)))
	}
	if c.journalPath(list) == "" {
		progress.say("without --journal this cannot be gone on with when it is interrupted")
	}
	run := bulk.New(bulk.Config{
		List:        list,
		Journal:     notes,
		Revoke:      func(ctx context.Context, token string) bulk.Answer { return answerOf(c.call(ctx, quash(), token)) },
		Concurrency: c.Concurrency,
		Rate:        float64(c.Rate),
		AllRegions:  c.Consistency.String() == bulk.AllRegions,
		UntilDead:   c.UntilDead,
		Notify:      progress.say,
	})
	about := bulk.About{
		List: string(c.File), Server: c.Addr, Consistency: c.Consistency.String(),
		StartedAt: time.Now().UTC(), Resumed: notes.Resumed(),
	}
	stopProgress := progress.follow(ctx, run.Progress, notes.Counts)
	runErr := run.Do(ctx)
	stopProgress()
	about.EndedAt, about.ReadToLine = time.Now().UTC(), run.Progress().Line
	about.WhyIncomplete = whyIncomplete(ctx, runErr)
	if runErr == nil {
		about.WhyIncomplete = list.changed(about.ReadToLine, notes.Last())
	}
	about.Complete = about.WhyIncomplete == ""
	return c.tell(std, about, notes)
}

// openList opens the list, which may be standard input.
func (c *revokeCmd) openList(ctx context.Context, std streams) (*openedList, error) {
	if c.File == stdinName {
		if _, ok := terminalOf(std.in); ok {
			return nil, &usageError{[]string{"--file - reads a pipe, and standard input is a terminal"}}
		}
		list := &openedList{Reader: tokenlist.New(std.in)}
		if redirected, ok := std.in.(*os.File); ok {
			list.before, _ = redirected.Stat()
		}
		return list, nil
	}
	file, err := openInput(ctx, c.File)
	if err != nil {
		return nil, fmt.Errorf("--file: %w", err)
	}
	before, err := file.Stat()
	if err == nil && before.IsDir() {
		err = errors.New("it is a directory")
	}
	if err != nil {
		_ = file.Close()
		return nil, fmt.Errorf("--file %s: %w", c.File, err)
	}
	return &openedList{tokenlist.New(file), file, before}, nil
}

// openedList is a list and the file that it is in, nil for standard input.
type openedList struct {
	*tokenlist.Reader

	file *os.File
	// before is what was known of it before it was read; nil where nothing is.
	before os.FileInfo
}

// named reports whether the list is an ordinary file that can be opened once more.
func (l *openedList) named() bool { return l.file != nil && l.before.Mode().IsRegular() }

// size is that of the list in bytes, 0 where it is not known.
func (l *openedList) size() int64 {
	if l.before == nil || !l.before.Mode().IsRegular() {
		return 0
	}
	return l.before.Size()
}

// Close closes the file.
func (l *openedList) Close() error {
	if l.file == nil {
		return nil
	}
	return l.file.Close()
}

// changed says what somebody has done to the list meanwhile, or since an earlier run,
// that may have kept tokens from being read; "" for nothing. line is the last one of it,
// known the last that the journal has.
func (l *openedList) changed(line, known int64) string {
	if known > line {
		return fmt.Sprintf("the list ends at line %d, and went on to line %d in an earlier run", line, known)
	}
	if !l.named() {
		return ""
	}
	now, err := l.file.Stat()
	if err != nil {
		return fmt.Sprintf("nobody can say whether the list was changed while it was read (%s)", err)
	}
	switch {
	case now.Size() < l.before.Size():
		return "the list has become shorter while it was read"
	case now.Size() > l.Offset():
		return "the list has grown while it was read"
	case !now.ModTime().Equal(l.before.ModTime()):
		return "the list was changed while it was read"
	}
	if there, err := os.Stat(l.file.Name()); err == nil && !os.SameFile(there, now) {
		return "the list was replaced while it was read"
	}
	return ""
}

// dialMany makes as many clients as the calls need, each with a connection of its own.
// next gives them out by turns.
func (c *revokeCmd) dialMany() (next func() *client.Client, closeAll func(), err error) {
	clients := make([]*client.Client, (c.Concurrency+callsPerConnection-1)/callsPerConnection)
	for i := range clients {
		// What is to be repeated the run repeats, which knows of all calls.
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

// whyIncomplete is what a run that ended with err did not get over.
func whyIncomplete(ctx context.Context, err error) string {
	if err == nil {
		return ""
	}
	text := err.Error()
	if ctx.Err() != nil {
		text = strings.Replace(text, ctx.Err().Error(), "it was interrupted", 1)
	}
	return withoutTokens(strings.ReplaceAll(text, "\n", ", and "))
}

// tell writes the report, and returns how the command is to end.
func (c *revokeCmd) tell(std streams, about bulk.About, notes *journal.Journal) error {
	report, err := bulk.NewReport(about, notes)
	if err != nil {
		return &codedError{fmt.Errorf("read the journal: %w", err), exitIncomplete}
	}
	write := report.WriteText
	if c.Output == outputJSON {
		write = report.WriteJSON
	}
	var incomplete, unwritten error
	if !about.Complete {
		incomplete = errors.New(about.WhyIncomplete)
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
	if report.Lines() == 0 { // what should have written it has failed, more likely than not
		return &codedError{errors.New("nothing was revoked"), exitIncomplete}
	}
	code := exitOK
	for kind, of := range exitCodes {
		if report.Count(kind) > 0 {
			code = max(code, of)
		}
	}
	if code != exitOK {
		return &codedError{errors.New(""), code}
	}
	return nil
}

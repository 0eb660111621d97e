package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/alecthomas/kong"
)

// The exit codes of all commands. revoke.go has those of quash revoke alone.
const (
	exitOK      = 0
	exitFailure = 1
	exitUsage   = 2
)

// codedError is an error with an exit code of its own.
type codedError struct {
	error

	code int
}

// grammar is the command line.
type grammar struct {
	Dev         devCmd         `cmd:"" help:"Run quash with an embedded SlashID sandbox on loopback, for development."`
	Serve       serveCmd       `cmd:"" help:"Run quash in front of SlashID."`
	Sandbox     sandboxCmd     `cmd:"" help:"Run the SlashID sandbox alone, or mint tokens in a running one."`
	Revoke      revokeCmd      `cmd:"" help:"Revoke one token, or a list of tokens, through a running quash."`
	Healthcheck healthcheckCmd `cmd:"" help:"Check whether the quash on this machine is ready: exit code 0 if it is, 1 if not."`
	Version     versionCmd     `cmd:"" help:"Print the version, the commit and the Go version of this binary."`
}

// streams are where a command reads and writes: results to out, everything else to err.
type streams struct {
	in       io.Reader
	out, err io.Writer
	// hangups receives SIGHUP for serve and dev. The other commands end at that signal.
	hangups <-chan os.Signal
}

// usageError lists what is wrong with the command line or the environment. The checks of
// the flags add to one usageError, so that all problems are reported at once.
type usageError struct{ problems []string }

func (e *usageError) Error() string { return strings.Join(e.problems, "\n") }

// err returns nil if nothing is wrong.
func (e *usageError) err() error {
	if len(e.problems) == 0 {
		return nil
	}
	return e
}

func (e *usageError) addf(format string, args ...any) {
	e.problems = append(e.problems, fmt.Sprintf(format, args...))
}

func usageErrorf(format string, args ...any) error {
	return &usageError{[]string{fmt.Sprintf(format, args...)}}
}

func checkAtLeast[T int | time.Duration](wrong *usageError, flag string, value, minimum T) {
	if value < minimum {
		wrong.addf("%s: must be at least %v, got %v", flag, minimum, value)
	}
}

func checkRange[T int | time.Duration](wrong *usageError, flag string, value, minimum, maximum T) {
	if value < minimum || value > maximum {
		wrong.addf("%s: must be from %v to %v, got %v", flag, minimum, maximum, value)
	}
}

// run parses args, runs the command, and returns the exit code.
func run(ctx context.Context, args []string, std streams) int {
	if len(args) == 0 {
		args = []string{"--help"}
	}
	command, err := newParser(std).Parse(args)
	if _, unwritten := errors.AsType[*fs.PathError](err); unwritten { // the help
		return complain(std.err, err)
	}
	if err != nil {
		return complain(std.err, usageErrorf("%s", advise(err, args)))
	}
	command.BindTo(ctx, (*context.Context)(nil))
	return complain(std.err, command.Run(std, newConfigz(command)))
}

func newParser(std streams) *kong.Kong {
	parser, err := kong.New(&grammar{},
		kong.Name("quash"),
		kong.Description("quash revokes SlashID user tokens and reports after each call whether the token is dead."),
		kong.DefaultEnvars("QUASH"),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true}),
		kong.Writers(std.out, std.err),
		limitDefaults(),
	)
	if err != nil {
		panic(err) // a mistake in the grammar, which any run shows
	}
	return parser
}

// redacted replaces a value that is set but must not be shown.
const redacted = "[redacted]"

// tokenLike matches a token in a text that must not contain one. Errors quote file names and
// arguments, and they may end up in a log.
var tokenLike = regexp.MustCompile(`\beyJ[\w-]{10,}\.[\w.-]*`)

func withoutTokens(text string) string { return tokenLike.ReplaceAllString(text, redacted) }

// complain writes each line of the error, and returns the exit code.
func complain(stderr io.Writer, err error) int {
	if err == nil {
		return exitOK
	}
	var text strings.Builder
	for line := range strings.Lines(withoutTokens(err.Error())) {
		fmt.Fprintln(&text, "quash:", strings.TrimSuffix(line, "\n"))
	}
	writeOrTimeout(stderr, text.String())
	if _, usage := errors.AsType[*usageError](err); usage {
		return exitUsage
	}
	if coded, ok := errors.AsType[*codedError](err); ok {
		return coded.code
	}
	return exitFailure
}

// complaintTimeout bounds the wait for a reader of standard error.
const complaintTimeout = 5 * time.Second

// writeOrTimeout writes the last text of a process. The exit code says the same, and must
// not wait for a pipe that nothing reads.
func writeOrTimeout(w io.Writer, text string) {
	written := make(chan struct{})
	go func() {
		defer close(written)
		_, _ = io.WriteString(w, text)
	}()
	select {
	case <-written:
	case <-time.After(complaintTimeout):
	}
}

// advise adds to kong's message which --help to read, and the environment variable with the
// wrong value: kong omits the variable if the value is not one of an enum.
func advise(err error, args []string) string {
	text, command := err.Error(), []string{"quash"}
	if parse, ok := errors.AsType[*kong.ParseError](err); ok && parse.Context != nil {
		for _, element := range parse.Context.Path {
			if element.Command != nil {
				command = append(command, element.Command.Name)
			}
		}
		for _, flag := range parse.Context.Flags() {
			if strings.HasPrefix(text, "--"+flag.Name+" must be ") && len(flag.Envs) > 0 && os.Getenv(flag.Envs[0]) != "" {
				text += " (from " + flag.Envs[0] + ")"
			}
		}
	}
	text = fmt.Sprintf("%s; see %s --help", text, strings.Join(command, " "))
	if slices.Contains(command, "revoke") {
		return withoutArguments(text, args)
	}
	return text
}

// partOfToken is the length from which an argument of quash revoke is redacted in errors: it
// may be a token, or a piece of one that the shell has split.
const partOfToken = 8

func withoutArguments(text string, args []string) string {
	args = slices.DeleteFunc(slices.Clone(args), func(arg string) bool { return len(arg) < partOfToken || strings.HasPrefix(arg, "-") })
	slices.SortFunc(args, func(a, b string) int { return cmp.Compare(len(b), len(a)) }) // a longer argument may contain a shorter one
	shown := text
	for _, arg := range args {
		shown = strings.ReplaceAll(shown, arg, redacted)
	}
	if shown != text {
		shown += "; pass a token on standard input or in a file, never as an argument"
	}
	return shown
}

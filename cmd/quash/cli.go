package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/alecthomas/kong"
)

// The exit codes. quash revoke has more of them.
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
	Dev         devCmd         `cmd:"" help:"Run quash in front of an embedded sandbox of SlashID, on loopback."`
	Serve       serveCmd       `cmd:"" help:"Run quash in front of SlashID."`
	Sandbox     sandboxCmd     `cmd:"" help:"Run the sandbox of SlashID alone, or mint tokens of one that runs."`
	Revoke      revokeCmd      `cmd:"" help:"Have a quash revoke one token, which comes over standard input, or all of a list."`
	Healthcheck healthcheckCmd `cmd:"" help:"Ask a quash on this machine whether it is ready; exit 0 if so, 1 if not."`
	Version     versionCmd     `cmd:"" help:"Print which quash this is."`
}

// streams are where a command reads and writes: results to out, everything else to err.
type streams struct {
	in       io.Reader
	out, err io.Writer
}

// usageError is one or more things wrong with a command line or the environment.
type usageError struct{ problems []string }

func (e *usageError) Error() string { return strings.Join(e.problems, "\n") }

// unreadable is the readings of flags, in their order: what was wrong with each,
// "" for nothing. kong reads the command line first, and then every variable and
// default, those of other commands and of flags that are set already included.
type unreadable struct{ readings map[*kong.Value][]string }

// of returns what is wrong with the flags of the command that was chosen.
func (u *unreadable) of(command *kong.Context) (problems []string) {
	given := map[*kong.Value]int{}
	for _, element := range command.Path {
		if element.Flag != nil {
			given[element.Flag.Value]++
		}
	}
	for _, flag := range command.Flags() {
		readings := u.readings[flag.Value]
		if n := given[flag.Value]; n > 0 {
			readings = readings[:min(n, len(readings))]
		}
		for _, problem := range readings {
			if problem != "" {
				problems = append(problems, problem)
				break
			}
		}
	}
	return problems
}

// exited carries the exit code out of kong, which ends the process after --help.
type exited int

// run parses args, runs the command that they name, and returns the exit code.
func run(ctx context.Context, args []string, std streams) (code int) {
	defer func() {
		if value := recover(); value != nil {
			exit, ok := value.(exited)
			if !ok {
				panic(value)
			}
			code = int(exit)
		}
	}()
	unread := &unreadable{readings: map[*kong.Value][]string{}}
	parser := newParser(unread, std.out, std.err)
	if len(args) == 0 {
		args = []string{"--help"}
	}
	command, err := parser.Parse(args)
	if err != nil {
		return complain(std.err, &usageError{[]string{advise(err, args)}})
	}
	command.BindTo(ctx, (*context.Context)(nil))
	command.Bind(std, &usageError{unread.of(command)}, newConfigz(command))
	return complain(std.err, command.Run())
}

// newParser returns what reads the grammar.
func newParser(unread *unreadable, stdout, stderr io.Writer) *kong.Kong {
	return parserOf(&grammar{}, unread, stdout, stderr)
}

func parserOf(grammar any, unread *unreadable, stdout, stderr io.Writer) *kong.Kong {
	parser, err := kong.New(grammar,
		kong.Name("quash"),
		kong.Description("quash revokes SlashID user tokens, and tells the truth about what became of them."),
		kong.DefaultEnvars("QUASH"),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true}),
		kong.Writers(stdout, stderr),
		limitDefaults(),
		kong.Exit(func(code int) { panic(exited(code)) }),
		kong.TypeMapper(reflect.TypeFor[time.Duration](), collect(unread, "a duration such as 20ms, 5s or 2m10s", time.ParseDuration)),
		kong.TypeMapper(reflect.TypeFor[slog.Level](), collect(unread, "debug, info, warn or error", parseLevel)),
		kong.TypeMapper(reflect.TypeFor[logFormat](), collect(unread, "json or text", parseLogFormat)),
		kong.TypeMapper(reflect.TypeFor[fileName](), collect(unread, "the name of a file", parseFileName)),
		kong.TypeMapper(reflect.TypeFor[tlsVersion](), collect(unread, "1.2 or 1.3", parseTLSVersion)),
		kong.TypeMapper(reflect.TypeFor[consistency](), collect(unread, "local_region or all_regions", parseConsistency)),
		kong.TypeMapper(reflect.TypeFor[outputFormat](), collect(unread, "text or json", parseOutputFormat)),
		kong.TypeMapper(reflect.TypeFor[perSecond](), collect(unread, "a number above 0", parsePerSecond)),
		kong.TypeMapper(reflect.TypeFor[int](), collect(unread, "a whole number", parseInt)),
		kong.KindMapper(reflect.Bool, boolMapper{collect(unread, "true or false", strconv.ParseBool)}),
	)
	if err != nil {
		panic(err) // a mistake in the grammar, which any run shows
	}
	return parser
}

// tokenLike is a token that was given where none belongs. A complaint names what it
// is about, and may end up in a log.
var tokenLike = regexp.MustCompile(`\beyJ[\w-]{10,}\.[\w.-]*`)

// complain writes what went wrong, a line each, and returns the exit code.
func complain(stderr io.Writer, err error) int {
	if err == nil {
		return exitOK
	}
	for line := range strings.Lines(withoutTokens(err.Error())) {
		fmt.Fprintln(stderr, "quash:", strings.TrimSuffix(line, "\n"))
	}
	if _, usage := errors.AsType[*usageError](err); usage {
		return exitUsage
	}
	if coded, ok := errors.AsType[*codedError](err); ok {
		return coded.code
	}
	return exitFailure
}

// advise completes kong's message with where to look.
func advise(err error, args []string) string {
	command := []string{"quash"}
	if parse, ok := errors.AsType[*kong.ParseError](err); ok && parse.Context != nil {
		for _, element := range parse.Context.Path {
			if element.Command != nil {
				command = append(command, element.Command.Name)
			}
		}
	}
	text := fmt.Sprintf("%s; see %s --help", err, strings.Join(command, " "))
	if slices.Contains(command, "revoke") {
		return withoutArguments(text, args)
	}
	return text
}

// partOfToken is how long an argument of quash revoke must be not to be repeated: it may
// be a token, or what is left of one that the shell has split.
const partOfToken = 8

func withoutArguments(text string, args []string) string {
	withheld := text
	for _, arg := range args {
		if len(arg) >= partOfToken && !strings.HasPrefix(arg, "-") {
			withheld = strings.ReplaceAll(withheld, arg, redacted)
		}
	}
	if withheld != text {
		withheld += "; a token comes over standard input or out of a file, never as an argument"
	}
	return withheld
}

// collect reads a flag's value with parse. A value that cannot be read is noted
// and passed over, so that everything wrong is reported at once.
func collect[T any](unread *unreadable, want string, parse func(string) (T, error)) mapper {
	return mapper{want, func(ctx *kong.DecodeContext, target reflect.Value) error {
		var text string
		if err := ctx.Scan.PopValueInto(ctx.Value.Name, &text); err != nil {
			return err
		}
		value, err := parse(text)
		problem := ""
		if err != nil {
			problem = fmt.Sprintf("%s must be %s, not %q", names(ctx.Value), want, text)
		}
		unread.readings[ctx.Value] = append(unread.readings[ctx.Value], problem)
		if err != nil {
			if value, err = parse(ctx.Value.Default); err != nil {
				return nil //nolint:nilerr // there is no default
			}
		}
		target.Set(reflect.ValueOf(value).Convert(target.Type()))
		return nil
	}}
}

// mapper reads the values of flags of a type.
type mapper struct {
	want string // what they must be
	kong.MapperFunc
}

// names is how a flag can be set.
func names(value *kong.Value) string {
	name := "--" + value.Name
	if len(value.Tag.Envs) > 0 {
		name += " ($" + strings.Join(value.Tag.Envs, ", $") + ")"
	}
	return name
}

// boolMapper reads a flag that may stand without a value, which means true.
type boolMapper struct{ withValue mapper }

func (boolMapper) IsBool() bool { return true }

func (m boolMapper) Decode(ctx *kong.DecodeContext, target reflect.Value) error {
	token := ctx.Scan.Peek()
	if token.Type != kong.FlagValueToken {
		target.SetBool(true)
		return nil
	}
	if value, ok := token.Value.(bool); ok { // --no-…
		ctx.Scan.Pop()
		target.SetBool(value)
		return nil
	}
	return m.withValue.Decode(ctx, target)
}

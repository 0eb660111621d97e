package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/alecthomas/kong"
)

// The exit codes.
const (
	exitOK      = 0
	exitFailure = 1
	exitUsage   = 2
)

// grammar is the command line.
type grammar struct {
	Dev         devCmd         `cmd:"" help:"Run quash in front of an embedded sandbox of SlashID, on loopback."`
	Serve       serveCmd       `cmd:"" help:"Run quash in front of SlashID."`
	Sandbox     sandboxCmd     `cmd:"" help:"Run the sandbox of SlashID alone, or mint tokens of one that runs."`
	Healthcheck healthcheckCmd `cmd:"" help:"Ask a quash on this machine whether it is ready; exit 0 if so, 1 if not."`
	Version     versionCmd     `cmd:"" help:"Print which quash this is."`
}

// streams are where a command writes: results to out, everything else to err.
type streams struct{ out, err io.Writer }

// usageError is one or more things wrong with a command line or the environment.
type usageError struct{ problems []string }

func (e *usageError) Error() string { return strings.Join(e.problems, "\n") }

// exited carries the exit code out of kong, which ends the process after --help.
type exited int

// run parses args, runs the command that they name, and returns the exit code.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) (code int) {
	defer func() {
		if value := recover(); value != nil {
			exit, ok := value.(exited)
			if !ok {
				panic(value)
			}
			code = int(exit)
		}
	}()
	unreadable := &usageError{}
	parser, err := kong.New(&grammar{},
		kong.Name("quash"),
		kong.Description("quash revokes SlashID user tokens, and tells the truth about what became of them."),
		kong.DefaultEnvars("QUASH"),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true}),
		kong.Writers(stdout, stderr),
		kong.Exit(func(code int) { panic(exited(code)) }),
		kong.TypeMapper(reflect.TypeFor[time.Duration](), collect(unreadable, "a duration such as 20ms, 5s or 2m10s", time.ParseDuration)),
		kong.TypeMapper(reflect.TypeFor[slog.Level](), collect(unreadable, "debug, info, warn or error", parseLevel)),
		kong.TypeMapper(reflect.TypeFor[logFormat](), collect(unreadable, "json or text", parseLogFormat)),
		kong.TypeMapper(reflect.TypeFor[int](), collect(unreadable, "a whole number", parseInt)),
	)
	if err != nil {
		panic(err) // a mistake in the grammar, which any run shows
	}
	if len(args) == 0 {
		args = []string{"--help"}
	}
	command, err := parser.Parse(args)
	if err != nil {
		return complain(stderr, &usageError{append(unreadable.problems, advise(err))})
	}
	command.BindTo(ctx, (*context.Context)(nil))
	command.Bind(streams{stdout, stderr}, unreadable)
	return complain(stderr, command.Run())
}

// complain writes what went wrong, a line each, and returns the exit code.
func complain(stderr io.Writer, err error) int {
	if err == nil {
		return exitOK
	}
	for line := range strings.Lines(err.Error()) {
		fmt.Fprintln(stderr, "quash:", strings.TrimSuffix(line, "\n"))
	}
	if _, usage := errors.AsType[*usageError](err); usage {
		return exitUsage
	}
	return exitFailure
}

// advise completes kong's message with where to look.
func advise(err error) string {
	command := []string{"quash"}
	if parse, ok := errors.AsType[*kong.ParseError](err); ok && parse.Context != nil {
		for _, element := range parse.Context.Path {
			if element.Command != nil {
				command = append(command, element.Command.Name)
			}
		}
	}
	return fmt.Sprintf("%s; see %s --help", err, strings.Join(command, " "))
}

// collect reads a flag's value with parse. A value that cannot be read is noted
// and passed over, so that everything wrong is reported at once.
func collect[T any](problems *usageError, want string, parse func(string) (T, error)) kong.Mapper {
	return kong.MapperFunc(func(ctx *kong.DecodeContext, target reflect.Value) error {
		var text string
		if err := ctx.Scan.PopValueInto("value", &text); err != nil {
			return err
		}
		value, err := parse(text)
		if err != nil {
			problem := fmt.Sprintf("--%s must be %s, not %q", ctx.Value.Name, want, text)
			// The environment is read once for each command that has the flag.
			if !slices.Contains(problems.problems, problem) {
				problems.problems = append(problems.problems, problem)
			}
			return nil
		}
		target.Set(reflect.ValueOf(value))
		return nil
	})
}

package main

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/alecthomas/kong"
)

// notTokens are flags that take a text which is not a secret, although their names do not show
// that.
var notTokens = map[string]string{
	"regions":             "names of the sandbox's regions",
	"cors-allowed-origin": "origins of pages",
}

// Every user of the machine can read the arguments of a process, and /configz shows them. So no
// command accepts a token or another secret as an argument, only on standard input or in files.
func TestNoArgumentTakesAToken(t *testing.T) {
	t.Parallel()
	harmless := regexp.MustCompile(`(^|-)(addr|url|file)$`)
	flags := 0
	for _, command := range newParser(streams{}).Model.Leaves(true) {
		if len(command.Positional) > 0 {
			t.Errorf("%s takes arguments: make them flags, and read tokens from standard input", command.FullPath())
		}
		for _, flag := range command.Flags {
			flags++
			if takesText(flag) && !harmless.MatchString(flag.Name) && notTokens[flag.Name] == "" {
				t.Errorf("--%s takes a text: if it may be a token, read it from standard input; else add it to notTokens", flag.Name)
			}
		}
	}
	if flags < 60 {
		t.Errorf("there are only %d flags", flags)
	}
}

func takesText(flag *kong.Flag) bool {
	switch flag.Target.Interface().(type) {
	case string, []string:
		return flag.Enum == ""
	}
	return false
}

// Users copy commands from the docs. printf is built into the shell, so it is not a process.
func TestDocsKeepTokensOutOfArguments(t *testing.T) {
	t.Parallel()
	for _, page := range []string{"../../README.md", "../../docs/callers.md"} {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(text), "TOKEN") {
			t.Errorf("%s has no command with a token: look elsewhere", page)
		}
		commands := strings.ReplaceAll(string(text), "|\n", "|")
		for command := range strings.FieldsFuncSeq(commands, func(r rune) bool { return r == '|' || r == '\n' }) {
			hasToken := anyToken.MatchString(command) || strings.Contains(command, "$TOKEN") || strings.Contains(command, "${TOKEN")
			if hasToken && !strings.HasPrefix(strings.TrimLeft(command, "$ "), "printf ") {
				t.Errorf("%s has a token for an argument: %s", page, command)
			}
		}
	}
}

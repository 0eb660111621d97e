package main

import (
	"io"
	"os"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/alecthomas/kong"
)

// What is an argument of a process stands in the process list, for everyone on the
// machine to read, and in the history of the shell. So no command has a place for a
// token there: tokens come over standard input, or out of files.

// notTokens are the flags of texts whose names do not say already that they are no
// place for a token.
var notTokens = map[string]string{
	"regions":             "names of the sandbox's regions",
	"cors-allowed-origin": "origins of pages",
}

func TestNoArgumentTakesAToken(t *testing.T) {
	t.Parallel()
	parser := newParser(&unreadable{readings: map[*kong.Value][]string{}}, io.Discard, io.Discard)
	var commands, flags int
	err := kong.Visit(parser.Model, func(node kong.Visitable, next kong.Next) error {
		switch node := node.(type) {
		case *kong.Node:
			commands++
			for _, argument := range node.Positional {
				t.Errorf("%s takes the argument %s: make it a flag, and let tokens come over standard input", node.FullPath(), argument.Summary())
			}
			if node.Argument != nil {
				t.Errorf("%s takes an argument", node.FullPath())
			}
		case *kong.Flag:
			flags++
			if canHoldAToken(node.Name, node.Target.Type()) && notTokens[node.Name] == "" {
				t.Errorf("--%s takes a text: if that may be a token, let it come over standard input, and else say so in notTokens", node.Name)
			}
		}
		return next(nil)
	})
	if err != nil {
		t.Fatal(err)
	}
	if commands < 7 || flags < 60 {
		t.Errorf("there are but %d commands and %d flags", commands, flags)
	}
	t.Logf("%d flags of %d commands", flags, commands)
}

// canHoldAToken reports whether a flag is for any text, and not for an address, a
// URL or a file.
func canHoldAToken(name string, kind reflect.Type) bool {
	for kind.Kind() == reflect.Slice || kind.Kind() == reflect.Pointer {
		kind = kind.Elem()
	}
	// A type of its own knows its few values.
	isText := kind.Kind() == reflect.String && kind.Name() == "string"
	return isText && !regexp.MustCompile(`(^|-)(addr|url|file)$`).MatchString(name)
}

// argumentsWithTokens returns the commands of a text for a shell in which a token, or
// the variable that holds one, is an argument of a process. To printf it is none:
// shells have that built in.
func argumentsWithTokens(text string) (commands []string) {
	for command := range strings.FieldsFuncSeq(strings.ReplaceAll(text, "|\n", "|"), func(r rune) bool { return r == '|' || r == '\n' }) {
		told := anyToken.MatchString(command) || strings.Contains(command, "$TOKEN") || strings.Contains(command, "${TOKEN")
		if told && !strings.HasPrefix(strings.TrimLeft(command, "$ "), "printf ") {
			commands = append(commands, strings.TrimSpace(command))
		}
	}
	return commands
}

// What people copy becomes a habit.
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
		if got := argumentsWithTokens(string(text)); got != nil {
			t.Errorf("%s has tokens for arguments: %q", page, got)
		}
	}
}

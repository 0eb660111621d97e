package main

import (
	"cmp"
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/alecthomas/kong"
)

var update = flag.Bool("update", false, "write the documents that are made from this package instead of checking them")

const flagsDoc = "../../docs/reference/flags.md"

// docs/reference/flags.md is generated from the parser of the command line.
func TestFlagsDoc(t *testing.T) {
	t.Parallel()
	want := renderFlags(newParser(streams{}).Model.Node)
	if *update {
		if err := os.WriteFile(flagsDoc, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := os.ReadFile(flagsDoc); err != nil || string(got) != want {
		t.Errorf("%s is stale (%v); make docs writes it", flagsDoc, err)
	}
}

func renderFlags(app *kong.Node) string {
	var b strings.Builder
	b.WriteString(`<!-- Written by make docs from the flags in cmd/quash. -->
# Flags

You can set a flag by its environment variable instead; the command line takes precedence. At a value
that it cannot parse, a command stops with exit code 2. Otherwise it reports everything that is wrong
with the values at once. ` + "`/configz`" + ` of the admin listener shows the values that a server runs with,
and where each of them comes from.

Every command exits with 0 on success, 1 on a failure, also if its output cannot be written, and 2 if the
command line is wrong. ` + "`quash revoke`" + ` has [more](#quash-revoke).
`)
	commands := app.Leaves(true)
	serve := map[string]string{} // the defaults of the flags of serve
	for _, flag := range commands[slices.IndexFunc(commands, func(c *kong.Node) bool { return c.Path() == "serve" })].Flags {
		serve[flag.Name] = defaultOf(flag)
	}
	for _, command := range commands {
		fmt.Fprintf(&b, "\n## %s\n%s\n", command.FullPath(), command.Help)
		if command.Detail != "" {
			fmt.Fprintf(&b, "\n```\n%s\n```\n", command.Detail)
		}
		flags := slices.DeleteFunc(slices.Clone(command.Flags), func(f *kong.Flag) bool { return f.Hidden })
		if command.Name == "dev" {
			b.WriteString("\nIt has the flags of `quash serve`, except `--upstream-*`. These flags are new or have other defaults:\n")
			flags = slices.DeleteFunc(flags, func(f *kong.Flag) bool {
				same, both := serve[f.Name]
				return both && same == defaultOf(f)
			})
		}
		renderTables(&b, flags)
	}
	return b.String()
}

// renderTables writes a table for each group of flags, in the order of --help: flags
// without a group come first.
func renderTables(b *strings.Builder, flags []*kong.Flag) {
	if len(flags) == 0 {
		b.WriteString("It has no flags.\n")
		return
	}
	slices.SortStableFunc(flags, func(a, b *kong.Flag) int {
		return cmp.Compare(min(1, len(group(a))), min(1, len(group(b))))
	})
	for i, flag := range flags {
		if i == 0 || group(flag) != group(flags[i-1]) {
			if group(flag) != "" {
				fmt.Fprintf(b, "\n### %s\n", group(flag))
			}
			b.WriteString("\n| flag | variable | value | default | description |\n| --- | --- | --- | --- | --- |\n")
		}
		name := "--" + flag.Name
		if flag.Tag.Negatable != "" {
			name = "--[no-]" + flag.Name
		}
		fmt.Fprintf(b, "| %s | %s | %s | %s | %s |\n",
			code(name), code(flag.Envs...), valueOf(flag), defaultOf(flag), strings.ReplaceAll(flag.Help, "|", `\|`))
	}
}

func group(flag *kong.Flag) string {
	if flag.Group == nil {
		return ""
	}
	return flag.Group.Title
}

// valueOf describes the values of a flag.
func valueOf(flag *kong.Flag) string {
	switch flag.Target.Interface().(type) {
	case bool:
		return "true or false"
	case int:
		return "integer"
	case time.Duration:
		return "duration"
	case []string:
		return "comma-separated list"
	}
	return cmp.Or(strings.Join(flag.EnumSlice(), " or "), flag.PlaceHolder, "text")
}

func defaultOf(flag *kong.Flag) string {
	switch {
	case flag.HasDefault:
		return code(flag.Default)
	case flag.IsBool():
		return code("false")
	default:
		return ""
	}
}

func code(texts ...string) string {
	var quoted []string
	for _, text := range texts {
		quoted = append(quoted, "`"+text+"`")
	}
	return strings.Join(quoted, ", ")
}

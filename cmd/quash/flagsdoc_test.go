package main

import (
	"cmp"
	"flag"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/alecthomas/kong"
)

var update = flag.Bool("update", false, "write the documents that are made from this package instead of checking them")

const flagsDoc = "../../docs/reference/flags.md"

// docs/reference/flags.md is written from the parser of the command line.
func TestFlagsDoc(t *testing.T) {
	t.Parallel()
	want := renderFlags(newParser(&unreadable{readings: map[*kong.Value][]string{}}, io.Discard, io.Discard).Model.Node)
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

Each flag can be set by its environment variable instead; the command line takes precedence.
A command reports all mistakes in either at once, and exits with code 2. ` + "`/configz`" + ` of the admin
listener shows what a server runs with, and where each value comes from.
`)
	commands := app.Leaves(true)
	serve := commands[slices.IndexFunc(commands, func(c *kong.Node) bool { return c.Name == "serve" })]
	for _, command := range commands {
		fmt.Fprintf(&b, "\n## %s\n%s\n", command.FullPath(), command.Help)
		if command.Detail != "" {
			fmt.Fprintf(&b, "\n```\n%s\n```\n", command.Detail)
		}
		flags := slices.DeleteFunc(slices.Clone(command.Flags), func(f *kong.Flag) bool { return f.Hidden })
		if command.Name == "dev" {
			flags = renderDifference(&b, flags, serve.Flags)
		}
		renderTables(&b, flags)
	}
	return b.String()
}

// renderDifference says which flags of serve a command lacks. It returns the flags that
// serve lacks or has with another default.
func renderDifference(b *strings.Builder, flags, serve []*kong.Flag) (different []*kong.Flag) {
	find := func(flags []*kong.Flag, name string) *kong.Flag {
		i := slices.IndexFunc(flags, func(f *kong.Flag) bool { return f.Name == name && !f.Hidden })
		if i < 0 {
			return nil
		}
		return flags[i]
	}
	var lacking []string
	for _, flag := range serve {
		if !flag.Hidden && find(flags, flag.Name) == nil {
			lacking = append(lacking, code("--"+flag.Name))
		}
	}
	fmt.Fprintf(b, "\nIt has the flags of `quash serve`, except %s. These are new, or have other defaults:\n", strings.Join(lacking, ", "))
	for _, flag := range flags {
		if same := find(serve, flag.Name); same == nil || defaultOf(same) != defaultOf(flag) {
			different = append(different, flag)
		}
	}
	return different
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
			b.WriteString("\n| flag | variable | value | default | what |\n| --- | --- | --- | --- | --- |\n")
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

// valueOf describes the values of a flag, as the error about a bad value does.
func valueOf(flag *kong.Flag) string {
	switch m := flag.Mapper.(type) {
	case mapper:
		return short(m.want)
	case boolMapper:
		return short(m.withValue.want)
	}
	switch {
	case flag.IsSlice():
		return "texts, with commas between them"
	case flag.PlaceHolder != "":
		return flag.PlaceHolder
	default:
		return "text"
	}
}

// short leaves out what the defaults show.
func short(want string) string {
	want, _, _ = strings.Cut(want, " such as ")
	return strings.TrimPrefix(strings.TrimPrefix(want, "a "), "the ")
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

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

// docs/reference/flags.md is written from what reads the command line.
func TestFlagsDoc(t *testing.T) {
	t.Parallel()
	want := renderFlags(newParser(&unreadable{readings: map[*kong.Value][]string{}}, io.Discard, io.Discard).Model.Node)
	if *update {
		if err := os.WriteFile(flagsDoc, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(flagsDoc)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != want {
		t.Errorf("%s is stale; make docs writes it anew", flagsDoc)
	}
}

func renderFlags(app *kong.Node) string {
	var b strings.Builder
	b.WriteString(`<!-- Written by make docs from the flags in cmd/quash. -->
# Flags

Instead of a flag there can be its environment variable; what is on the command line goes
before that. All that is wrong with either is told at once, and ends the command with exit
code 2. What a server runs with, and from where it has that, is at ` + "`/configz`" + ` of its
admin listener. A dash is for a command that lacks the flag.
`)
	commands := app.Leaves(true)
	named := func(path string) *kong.Node {
		i := slices.IndexFunc(commands, func(c *kong.Node) bool { return c.Path() == path })
		return commands[i]
	}
	// dev is serve with other defaults: in tables of their own nobody would see which.
	serve, dev := named("serve"), named("dev")
	renderCommands(&b, serve, dev)
	for _, command := range commands {
		if command != serve && command != dev {
			renderCommands(&b, command)
		}
	}
	return b.String()
}

// renderCommands writes a section about commands whose flags are the same where their
// names are, but for the defaults.
func renderCommands(b *strings.Builder, commands ...*kong.Node) {
	var names, columns []string
	for _, command := range commands {
		names = append(names, command.FullPath())
		columns = append(columns, "default")
		if len(commands) > 1 {
			columns[len(columns)-1] += " of " + command.Name
		}
	}
	fmt.Fprintf(b, "\n## %s\n", strings.Join(names, ", "))
	for i, command := range commands {
		if len(commands) > 1 {
			fmt.Fprintf(b, "- %s: ", names[i])
		}
		fmt.Fprintln(b, command.Help)
		if command.Detail != "" {
			fmt.Fprintf(b, "\n```\n%s\n```\n", command.Detail)
		}
	}
	flags := flagsOf(commands)
	if len(flags) == 0 {
		b.WriteString("It has no flags.\n")
		return
	}
	var groups []string
	for _, f := range flags {
		if !slices.Contains(groups, f.group()) {
			groups = append(groups, f.group())
		}
	}
	for _, group := range groups {
		if group != "" {
			fmt.Fprintf(b, "\n### %s\n", group)
		}
		fmt.Fprintf(b, "\n| flag | variable | value | %s | what |\n| --- | --- | --- |%s --- |\n",
			strings.Join(columns, " | "), strings.Repeat(" --- |", len(columns)))
		for _, f := range flags {
			if f.group() == group {
				f.render(b)
			}
		}
	}
}

// flagRow is a flag, as each of the commands of a section has it, or nil for one that
// does not.
type flagRow []*kong.Flag

func flagsOf(commands []*kong.Node) (rows []flagRow) {
	byName := map[string]flagRow{}
	var names []string
	for i, command := range commands {
		for _, flag := range command.Flags {
			if flag.Hidden {
				continue
			}
			if byName[flag.Name] == nil {
				byName[flag.Name] = make(flagRow, len(commands))
				names = append(names, flag.Name)
			}
			byName[flag.Name][i] = flag
		}
	}
	// As --help has them: those of no group come first.
	slices.SortStableFunc(names, func(a, b string) int {
		return cmp.Compare(min(1, len(byName[a].group())), min(1, len(byName[b].group())))
	})
	for _, name := range names {
		rows = append(rows, byName[name])
	}
	return rows
}

// one is the flag of one of the commands, for what all of them have in common.
func (r flagRow) one() *kong.Flag {
	return r[slices.IndexFunc(r, func(f *kong.Flag) bool { return f != nil })]
}

func (r flagRow) group() string {
	if group := r.one().Group; group != nil {
		return group.Title
	}
	return ""
}

func (r flagRow) render(b *strings.Builder) {
	flag := r.one()
	name := "--" + flag.Name
	if flag.Tag.Negatable != "" {
		name = "--[no-]" + flag.Name
	}
	fmt.Fprintf(b, "| %s | %s | %s |", code(name), code(flag.Envs...), valueOf(flag))
	for _, of := range r {
		fmt.Fprintf(b, " %s |", defaultOf(of))
	}
	fmt.Fprintf(b, " %s |\n", strings.ReplaceAll(flag.Help, "|", `\|`))
}

// valueOf is what a flag takes, in the words of the complaint about another.
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
	case flag == nil:
		return "–"
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

package main

import (
	"fmt"
	"log/slog"
	"os"
	"reflect"
	"strings"

	"github.com/alecthomas/kong"

	"github.com/quashdev/quash/service/slashid"
)

// redacted stands for what is set and not shown.
const redacted = "[redacted]"

// configz is what the admin listener shows of how quash was told to run. Of a file it
// has the name, never what is in it.
type configz struct {
	Command  string             `json:"command"`
	Upstream upstreamFacts      `json:"upstream"`
	Flags    map[string]setting `json:"flags"`
	// Environment are the variables besides those of flags that are set, and that
	// quash or what it is built of goes by.
	Environment map[string]string `json:"environment"`
}

// upstreamFacts are what becomes of the flags towards SlashID.
type upstreamFacts struct {
	URL         string `json:"url"`
	Credentials string `json:"credentials"`
}

// setting is a flag as quash runs with it.
type setting struct {
	Value any    `json:"value"`
	From  string `json:"from"`
}

// Where a flag has its value from.
const (
	fromCommandLine = "command line"
	fromEnvironment = "environment"
	fromDefault     = "default"
)

// A flag of a server says in its tag configz whether its value is for the eyes of whoever
// reaches the admin listener. One that says nothing is not shown.
const (
	visible   = "visible"
	sensitive = "sensitive"
)

// newConfigz is for the command that was chosen.
func newConfigz(command *kong.Context) configz {
	given := map[*kong.Flag]bool{}
	for _, element := range command.Path {
		if element.Flag != nil {
			given[element.Flag] = true
		}
	}
	c := configz{Flags: map[string]setting{}, Environment: shownEnvironment(os.Environ())}
	if selected := command.Selected(); selected != nil {
		c.Command = selected.Path()
	}
	for _, flag := range command.Flags() {
		if flag.Name == "help" {
			continue
		}
		s := setting{Value: redacted, From: fromDefault}
		switch {
		case given[flag]:
			s.From = fromCommandLine
		case isInEnvironment(flag.Envs):
			s.From = fromEnvironment
		}
		if flag.Tag.Get("configz") == visible {
			s.Value = shown(flag.Target)
		}
		c.Flags[flag.Name] = s
	}
	return c
}

// towards completes c with what is upstream. apiKey is quash's own, if it has one.
func (c configz) towards(upstream slashid.Config, apiKey func() slashid.Secret) configz {
	c.Upstream = upstreamFacts{URL: withoutTokens(upstream.BaseURL.Redacted()), Credentials: "those of the caller"}
	if apiKey != nil {
		c.Upstream.Credentials = "quash's own API key"
	}
	return c
}

func isInEnvironment(names []string) bool {
	for _, name := range names {
		if _, ok := os.LookupEnv(name); ok {
			return true
		}
	}
	return false
}

// shown is a flag's value as JSON has it: numbers, switches and lists as such, all
// else as one would write it on the command line. What looks like a token is left out
// all the same: people put them where they do not belong.
func shown(value reflect.Value) any {
	switch v := value.Interface().(type) {
	case slog.Level:
		return strings.ToLower(v.String())
	case fmt.Stringer:
		return withoutTokens(v.String())
	}
	switch value.Kind() {
	case reflect.Bool, reflect.Int:
		return value.Interface()
	case reflect.Slice:
		list := make([]any, value.Len())
		for i := range list {
			list[i] = shown(value.Index(i))
		}
		return list
	default:
		return withoutTokens(fmt.Sprint(value.Interface()))
	}
}

func withoutTokens(text string) string { return tokenLike.ReplaceAllString(text, redacted) }

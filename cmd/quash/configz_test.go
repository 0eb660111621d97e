package main

import (
	"encoding/json"
	"io"
	"log/slog"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/alecthomas/kong"
	"github.com/google/go-cmp/cmp"

	"github.com/quashdev/quash/internal/secrettest"
	"github.com/quashdev/quash/service/slashid"
)

// A new flag of a server has to say whether it is to be seen.
func TestFlagsSayWhetherTheyAreSeen(t *testing.T) {
	t.Parallel()
	parser := newParser(&unreadable{readings: map[*kong.Value][]string{}}, io.Discard, io.Discard)
	for _, command := range []string{"serve", "dev"} {
		flags := 0
		for _, flag := range commandNamed(t, parser, command).Flags {
			flags++
			if got := flag.Tag.Get("configz"); got != visible && got != sensitive {
				t.Errorf(`--%s of %s has the tag configz:%q: may clients of the admin listener see its value? Say %s or %s`,
					flag.Name, command, got, visible, sensitive)
			}
		}
		if flags < 25 {
			t.Errorf("%s has but %d flags", command, flags)
		}
	}
}

func commandNamed(t *testing.T, parser *kong.Kong, path string) *kong.Node {
	t.Helper()
	for _, command := range parser.Model.Leaves(true) {
		if command.Path() == path {
			return command
		}
	}
	t.Fatalf("there is no command %s", path)
	return nil
}

// sampleFlags have one flag of each kind.
type sampleFlags struct {
	Text      string `default:"a" configz:"visible"`
	Other     string `default:"a" configz:"visible"`
	Secret    string `configz:"sensitive"`
	Forgotten string
	Mistyped  string        `configz:"Visible"`
	List      []string      `default:"a,b" configz:"visible"`
	Number    int           `default:"3" configz:"visible"`
	Duration  time.Duration `default:"90s" configz:"visible"`
	Switch    bool          `default:"true" negatable:"" configz:"visible"`
	Level     slog.Level    `default:"warn" configz:"visible"`
	Format    logFormat     `default:"text" configz:"visible"`
	File      fileName      `configz:"visible"`
	Version   tlsVersion    `default:"1.2" configz:"visible"`
}

type sampleGrammar struct {
	Sample struct{ sampleFlags } `cmd:""`
}

const (
	sampleSecret = "s3cret-6f1d0a9c7b"
	sampleToken  = "eyJhbGciOiJFUzI1NiJ9.eyJqdGkiOiI3YjZjMGRhOSJ9.c2lnbmF0dXJlLW9mLWl0"
)

// sample is what is shown of the flags above after args.
func sample(t *testing.T, args ...string) configz {
	t.Helper()
	command, err := parserOf(&sampleGrammar{}, &unreadable{readings: map[*kong.Value][]string{}}, io.Discard, io.Discard).
		Parse(append([]string{"sample"}, args...))
	if err != nil {
		t.Fatal(err)
	}
	return newConfigz(command)
}

func TestConfigzOfFlagsAndEnvironment(t *testing.T) { // not parallel: it sets the environment
	for name, value := range map[string]string{
		"QUASH_TEXT": "of the environment", "QUASH_OTHER": "of the environment", "QUASH_SECRET": sampleSecret,
		"QUASH_NUMBER": "0", "QUASH_FORGOTTEN": sampleSecret, "QUASH_LEVEL": "debug",
	} {
		t.Setenv(name, value)
	}
	got := sample(t, "--other", "of the command line", "--no-switch", "--duration=1s", "--list=x", "--list=y").Flags
	for name, want := range map[string]setting{
		"text":      {"of the environment", fromEnvironment},
		"other":     {"of the command line", fromCommandLine},
		"secret":    {redacted, fromEnvironment},
		"forgotten": {redacted, fromEnvironment},
		"number":    {0, fromEnvironment},
		"level":     {"debug", fromEnvironment},
		"switch":    {false, fromCommandLine},
		"duration":  {"1s", fromCommandLine},
		"list":      {[]any{"x", "y"}, fromCommandLine},
		"format":    {"text", fromDefault},
		"file":      {"", fromDefault},
		"version":   {"1.2", fromDefault},
	} {
		if diff := cmp.Diff(want, got[name]); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

// No secret is shown, whichever flag or variable holds it, and no token even in visible ones.
func TestConfigzKeepsSecrets(t *testing.T) {
	t.Parallel()
	got := sample(t, "--secret", sampleSecret, "--forgotten", sampleSecret, "--mistyped", sampleSecret,
		"--text", sampleToken, "--other", "Bearer "+sampleToken, "--list", "a,"+sampleToken, "--file", "/run/"+sampleToken)
	got.Environment = shownEnvironment([]string{
		"OTEL_EXPORTER_OTLP_HEADERS=api-key=" + sampleSecret, "OTEL_SERVICE_NAME=" + sampleToken,
		"HTTPS_PROXY=http://quash:" + sampleSecret + "@proxy:3128", "UNRELATED=" + sampleSecret,
		"QUASH_SECRET=" + sampleSecret,
	})
	upstream := slashid.Config{BaseURL: &url.URL{Scheme: "https", Host: "api.slashid.com", User: url.UserPassword("quash", sampleSecret)}}
	got = got.towards(upstream, func() slashid.Secret { return slashid.NewSecret(sampleSecret) })
	text, err := json.Marshal(got)
	if err != nil {
		t.Fatal(err)
	}
	searcher := secrettest.NewSearcher(append(secrettest.OfToken("the token", sampleToken),
		secrettest.Secret{Name: "the secret", Text: sampleSecret})...)
	if what, at := searcher.Find(string(text)); what != "" {
		t.Errorf("there is %s: %q", what, text[at:])
	}
	// The search was not in vain.
	for _, want := range []string{`"/run/[redacted]"`, `"Bearer [redacted]"`, `"OTEL_EXPORTER_OTLP_HEADERS":"[redacted]"`, `"quash's own API key"`} {
		if !strings.Contains(string(text), want) {
			t.Errorf("there is no %s in %s", want, text)
		}
	}
}

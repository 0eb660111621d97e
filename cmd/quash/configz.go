package main

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/alecthomas/kong"

	"github.com/quashdev/quash/service/slashid"
)

// configz is what the admin listener shows of how quash was told to run. No flag holds a
// secret: of a file it has the name, never what is in it.
type configz struct {
	Command  string             `json:"command"`
	Upstream upstreamFacts      `json:"upstream"`
	Flags    map[string]setting `json:"flags"`
	// Environment are the variables that are set, are no flag's, and matter to quash.
	Environment map[string]string `json:"environment"`
}

// upstreamFacts are what the flags come to towards SlashID.
type upstreamFacts struct {
	URL         string `json:"url"`
	Credentials string `json:"credentials"`
}

// setting is a flag as quash runs with it.
type setting struct {
	Value any    `json:"value"`
	From  string `json:"from"` // command line, environment or default
}

// newConfigz is for the command that was chosen.
func newConfigz(command *kong.Context) configz {
	c := configz{Command: command.Command(), Flags: map[string]setting{}, Environment: shownEnvironment(os.Environ())}
	given := map[*kong.Flag]bool{}
	for _, element := range command.Path {
		given[element.Flag] = true
	}
	for _, flag := range command.Flags() {
		if flag.Name == "help" {
			continue
		}
		from := "default"
		switch {
		case given[flag]:
			from = "command line"
		case slices.ContainsFunc(flag.Envs, func(name string) bool { _, set := os.LookupEnv(name); return set }):
			from = "environment"
		}
		c.Flags[flag.Name] = setting{shown(flag.Target.Interface()), from}
	}
	return c
}

// shown is a flag's value for JSON. What looks like a token is redacted all the same:
// people put them where they do not belong.
func shown(value any) any {
	switch v := value.(type) {
	case bool, int:
		return v
	case time.Duration:
		return v.String()
	case []string:
		texts := make([]string, len(v))
		for i, text := range v {
			texts[i] = withoutTokens(text)
		}
		return texts
	default:
		return withoutTokens(fmt.Sprint(v))
	}
}

// towards completes c with what is upstream. apiKey is quash's own, if it has one.
func (c configz) towards(upstream slashid.Config, apiKey func() slashid.Secret) configz {
	c.Upstream = upstreamFacts{URL: withoutTokens(upstream.BaseURL.Redacted()), Credentials: "those of the caller"}
	if apiKey != nil {
		c.Upstream.Credentials = "quash's own API key"
	}
	return c
}

// shownVariables are the variables whose values are shown: switches, numbers, and names.
var shownVariables = []string{
	"GODEBUG", "GOGC", "GOMAXPROCS", "GOMEMLIMIT", "NO_PROXY", "SSL_CERT_DIR", "SSL_CERT_FILE",
	"OTEL_EXPORTER_OTLP_PROTOCOL", "OTEL_METRICS_EXPORTER", "OTEL_METRIC_EXPORT_INTERVAL", "OTEL_SDK_DISABLED",
	"OTEL_SERVICE_NAME", "OTEL_TRACES_EXPORTER", "OTEL_TRACES_SAMPLER", "OTEL_TRACES_SAMPLER_ARG",
}

// shownEnvironment shows which variables of OpenTelemetry, of the Go runtime and for
// proxies are set. The values of all others may hold credentials.
func shownEnvironment(environ []string) map[string]string {
	result := map[string]string{}
	for _, variable := range environ {
		name, value, _ := strings.Cut(variable, "=")
		switch {
		case slices.Contains(shownVariables, name):
			result[name] = withoutTokens(value)
		case strings.HasPrefix(name, "OTEL_"), strings.HasSuffix(strings.ToUpper(name), "_PROXY"):
			result[name] = redacted
		}
	}
	return result
}

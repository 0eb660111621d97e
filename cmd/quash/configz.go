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

// configz is the configuration that the admin listener shows at /configz. It shows no secret:
// no flag holds one, and of a file it shows the name, never the content.
type configz struct {
	Command  string             `json:"command"`
	Upstream upstreamFacts      `json:"upstream"`
	Flags    map[string]setting `json:"flags"`
	// Environment lists other variables that are set and that affect quash.
	Environment map[string]string `json:"environment"`
}

// upstreamFacts says where quash sends calls, and with whose credentials.
type upstreamFacts struct {
	URL         string `json:"url"`
	Credentials string `json:"credentials"`
}

// setting is the value of a flag, and its source.
type setting struct {
	Value any    `json:"value"`
	From  string `json:"from"` // command line, environment or default
}

// newConfigz returns the flags of a parsed command.
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

// shown returns the value of a flag for JSON. It redacts what looks like a token, because
// users also pass tokens to flags that are not for them.
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

// towards returns c with the facts about the upstream. apiKey is nil if quash has no API key.
func (c configz) towards(upstream slashid.Config, apiKey func() slashid.Secret) configz {
	c.Upstream = upstreamFacts{URL: withoutTokens(upstream.BaseURL.Redacted()), Credentials: "those of the caller"}
	if apiKey != nil {
		c.Upstream.Credentials = "quash's own API key"
	}
	return c
}

// shownVariables are the variables whose values /configz shows: switches, numbers and names.
var shownVariables = []string{
	"GODEBUG", "GOGC", "GOMAXPROCS", "GOMEMLIMIT", "NO_PROXY", "SSL_CERT_DIR", "SSL_CERT_FILE",
	"OTEL_EXPORTER_OTLP_PROTOCOL", "OTEL_METRICS_EXPORTER", "OTEL_METRIC_EXPORT_INTERVAL", "OTEL_SDK_DISABLED",
	"OTEL_SERVICE_NAME", "OTEL_TRACES_EXPORTER", "OTEL_TRACES_SAMPLER", "OTEL_TRACES_SAMPLER_ARG",
}

// shownEnvironment returns the variables for OpenTelemetry, the Go runtime and proxies that are
// set. Only shownVariables have their values: the others may contain credentials.
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

package main

import (
	"net/url"
	"regexp"
	"strings"
)

// governs are the variables, besides those of flags, that change what quash does:
// through OpenTelemetry, the Go runtime, net/http and crypto/x509.
var governs = regexp.MustCompile(`^(OTEL_.*|GOMEMLIMIT|GOMAXPROCS|GOGC|GODEBUG|(?i:https?_proxy|no_proxy)|SSL_CERT_(FILE|DIR))$`)

// ignored are OpenTelemetry's for what quash does in its own way, or not at all.
var ignored = regexp.MustCompile(`^OTEL_(PROPAGATORS|BLRP_.*|(.*_)?LOGS_.*|EXPORTER_PROMETHEUS_.*)$`)

// harmless are those of them that are switches, numbers and names. What is not known
// to be, OTEL_EXPORTER_OTLP_HEADERS for instance, may hold a credential.
var harmless = regexp.MustCompile(`^(GO.*|SSL_CERT_.*|(?i:no_proxy)|OTEL_(` +
	`SDK_DISABLED|SERVICE_NAME|TRACES_SAMPLER(_ARG)?|(TRACES|METRICS)_EXPORTER|` +
	`METRIC_EXPORT_.*|BSP_.*|SPAN_.*_LIMIT|ATTRIBUTE_.*_LIMIT|` +
	`EXPORTER_OTLP_(TRACES_|METRICS_)?(PROTOCOL|TIMEOUT|COMPRESSION|INSECURE)|` +
	`EXPORTER_OTLP_METRICS_(TEMPORALITY_PREFERENCE|DEFAULT_HISTOGRAM_AGGREGATION)))$`)

// addresses are those that are URLs, of which the credentials are the only secret
// that has a place of its own: services put others into the path.
var addresses = regexp.MustCompile(`^(OTEL_.*_ENDPOINT|(?i:https?_proxy))$`)

// shownEnvironment is what may be told of an environment.
func shownEnvironment(environ []string) map[string]string {
	told := map[string]string{}
	for _, variable := range environ {
		name, value, _ := strings.Cut(variable, "=")
		switch {
		case !governs.MatchString(name), ignored.MatchString(name):
			continue
		case harmless.MatchString(name):
			told[name] = withoutTokens(value)
		case addresses.MatchString(name):
			told[name] = originOf(value)
		default:
			told[name] = redacted
		}
	}
	return told
}

// originOf is the part of a URL that says where, and nothing else of it.
func originOf(text string) string {
	u, err := url.Parse(text)
	if err != nil || u.Host == "" {
		return redacted
	}
	origin := withoutTokens(u.Scheme + "://" + u.Host)
	if strings.TrimSuffix(text, "/") != u.Scheme+"://"+u.Host {
		origin += " " + redacted
	}
	return origin
}

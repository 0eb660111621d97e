package main

import (
	"context"
	"os"
	"os/exec"
	"slices"
)

// build is a quash.
type build struct {
	name, path string
}

// build returns the quash of that name, if it is one's.
func (s *setup) build(name string) (b build, ok bool) {
	i := slices.IndexFunc(s.quash, func(b build) bool { return b.name == name })
	if i < 0 {
		return b, false
	}
	return s.quash[i], true
}

// apiKey is what SlashID knows its customer by. The stub does not look.
const apiKey = "key"

// startQuash starts one as it runs in production, with everything on, and with flags
// besides. Spans and metrics go to the collector.
func (s *setup) startQuash(ctx context.Context, b build, u *upstream, flags ...string) (*process, error) {
	cmd := exec.Command(b.path, append([]string{ //nolint:gosec,noctx // what is to be measured; start binds it to a context
		"serve", "--upstream-url", u.url, "--upstream-ca-file", s.certFile, "--upstream-api-key-file", s.apiKeyFile,
		"--grpc-addr", "127.0.0.1:0", "--http-addr", "127.0.0.1:0", "--admin-addr", "127.0.0.1:0",
	}, flags...)...)
	cmd.Env = []string{
		"OTEL_EXPORTER_OTLP_ENDPOINT=" + s.collector.url,
		"OTEL_TRACES_SAMPLER=parentbased_traceidratio", "OTEL_TRACES_SAMPLER_ARG=0.01",
		"OTEL_BSP_SCHEDULE_DELAY=1000", // or the spans would be sent when the measurement is over
	}
	for _, name := range []string{"GOGC", "GOMEMLIMIT", "GODEBUG", "GOMAXPROCS"} {
		if value, set := os.LookupEnv(name); set { // to try what they change
			cmd.Env = append(cmd.Env, name+"="+value)
		}
	}
	return start(ctx, cmd)
}

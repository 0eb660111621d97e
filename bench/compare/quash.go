package compare

import (
	"context"
	"os"
	"strconv"

	"github.com/quashdev/quash/bench/calls"
)

// quash runs as in production: with its own API key, and with telemetry that is exported.
var quash = &contender{
	name:       "quash",
	transports: []calls.Transport{calls.GRPC, calls.Native, calls.DropIn},
	start: func(_ context.Context, e *env, upstreamURL string) (*server, error) {
		environment := e.telemetry()
		for _, name := range []string{"GOGC", "GOMEMLIMIT", "GODEBUG", "GOMAXPROCS"} {
			if value, set := os.LookupEnv(name); set { // to measure their effect
				environment = append(environment, name+"="+value)
			}
		}
		return startServer(e.quash, environment, "serve",
			"--upstream-url", upstreamURL, "--upstream-ca-file", e.certFile, "--upstream-api-key-file", e.apiKeyFile,
			"--max-in-flight", strconv.Itoa(maxInFlight), // more than the default
			"--grpc-addr", "127.0.0.1:0", "--http-addr", "127.0.0.1:0", "--admin-addr", "127.0.0.1:0")
	},
}

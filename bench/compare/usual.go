package compare

import (
	"context"

	"github.com/quashdev/quash/bench/calls"
)

// usual is what a team would build of the usual parts: bench/usual. It has no drop-in route,
// because its gateway answers both routes with JSON; the drop-in route is compared with its
// native route.
var usual = &contender{
	name:       "usual parts",
	transports: []calls.Transport{calls.GRPC, calls.Native},
	targets: []costTarget{
		{calls.GRPC, calls.GRPC, http1, 0.75, 0.6},
		{calls.GRPC, calls.GRPC, http2, 0.75, 0.6},
		{calls.Native, calls.Native, http1, 0.5, 0.35},
		{calls.Native, calls.Native, http2, 0.5, 0.35},
		{calls.DropIn, calls.Native, http1, 0.5, 0.35},
		{calls.DropIn, calls.Native, http2, 0.5, 0.35},
	},
	start: func(_ context.Context, e *env, upstreamURL string) (*server, error) {
		return startServer(e.usual, e.telemetry(), upstreamURL, e.certFile)
	},
}

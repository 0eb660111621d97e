// Package upstreamtest has upstreams of quash for tests.
package upstreamtest

import (
	"context"

	"github.com/quashdev/quash/service/slashid"
)

// Func is an upstream that calls a function.
type Func func(ctx context.Context, req slashid.Request) slashid.Result

// Revoke implements service.Upstream.
func (f Func) Revoke(ctx context.Context, req slashid.Request) slashid.Result { return f(ctx, req) }

package slashid

import (
	"context"
	"net/http/httptrace"
	"sync/atomic"
)

// sentTrace tells whether a request may have reached the peer. Its hooks run on
// goroutines of net/http's.
type sentTrace struct{ sent atomic.Bool }

// attach returns ctx with the trace in it.
func (t *sentTrace) attach(ctx context.Context) context.Context {
	return httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		// net/http asks for a second connection only when it knows that the first
		// one took none of the request: a stale idle connection on which nothing
		// was written, or an HTTP/2 stream that the peer refused unprocessed. (It
		// would also replay a request that carries an Idempotency-Key entry; ours
		// must not, for the answer to a replay says nothing of the first sending.)
		GetConn: func(string) { t.sent.Store(false) },
		// By then the head has been written, if only to a buffer. Before it at
		// most a part of the head is on the wire, with which no server can act.
		WroteHeaders: func() { t.sent.Store(true) },
	})
}

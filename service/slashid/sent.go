package slashid

import (
	"bytes"
	"errors"
	"sync/atomic"
)

// errKeptBack ends a request whose Commit said no. It reaches net/http only.
var errKeptBack = errors.New("the token was kept back")

// outgoing is the body of one request. The token goes out with it and with
// nothing else, so to read from it is to send, and to refuse the reading is to
// make sure that nothing is sent: a head without its body is no request.
//
// The request must not have GetBody, so that net/http can give it to a second
// connection only while it is unread. With GetBody it would send it again where it
// takes the first sending for unprocessed, which a peer's word alone may make it
// believe (RST_STREAM with PROTOCOL_ERROR, for instance), and the answer to a
// second sending says nothing of the first.
type outgoing struct {
	rest   *bytes.Reader
	commit func() bool
	begun  bool

	// These are set on goroutines of net/http's.
	sent     atomic.Bool
	keptBack atomic.Bool
	closed   atomic.Bool
}

func newOutgoing(data []byte, commit func() bool) *outgoing {
	return &outgoing{rest: bytes.NewReader(data), commit: commit}
}

func (o *outgoing) Read(p []byte) (int, error) {
	if o.closed.Load() {
		return 0, errKeptBack // too late: net/http has given the request up
	}
	if !o.begun {
		if o.commit != nil && !o.commit() {
			o.keptBack.Store(true)
			return 0, errKeptBack
		}
		o.begun = true
		o.sent.Store(true)
	}
	return o.rest.Read(p)
}

// Close implements io.Closer.
func (o *outgoing) Close() error {
	o.closed.Store(true)
	return nil
}

package server

import (
	"cmp"
	"time"

	"github.com/quashdev/quash/service"
)

// Limits bound what a client can make of the server's memory and patience. They
// hold for gRPC and REST, each by itself. A field that is 0 means that of
// DefaultLimits.
type Limits struct {
	// Connections is how many may be open; more wait to be accepted.
	Connections int
	// StreamsPerConnection is how many calls a client may have open on one HTTP/2
	// connection; it waits, or opens another connection.
	StreamsPerConnection int
	// Pending is how many requests may have begun and not be read yet, over both
	// together; more are refused. A message that is there and has not been looked at yet
	// counts, so a burst of calls needs room.
	Pending int
	// HeaderBytes is the largest header of a request.
	HeaderBytes int
	// RequestBytes is the largest message or body of a request.
	RequestBytes int
	// ConnectionAge is how long a connection takes new calls; those in progress
	// finish.
	ConnectionAge time.Duration
	// IdleTimeout is how long a connection without calls stays open.
	IdleTimeout time.Duration
	// HeaderTimeout is how long a connection may take to be set up, and the header
	// of a request to arrive.
	HeaderTimeout time.Duration
	// TransferTimeout is how long a request may take to arrive whole, and an answer
	// to be taken.
	TransferTimeout time.Duration
	// PingInterval is how often a gRPC client may ping; one that goes on doing so
	// more often is disconnected.
	PingInterval time.Duration
}

// DefaultLimits is the one place that says what the limits are by default.
var DefaultLimits = Limits{
	Connections:          10_000,
	StreamsPerConnection: 1_000,
	Pending:              4_000,
	HeaderBytes:          32 << 10,
	RequestBytes:         64 << 10, // four times the longest token
	ConnectionAge:        30 * time.Minute,
	IdleTimeout:          5 * time.Minute,
	HeaderTimeout:        10 * time.Second,
	TransferTimeout:      10 * time.Second,
	PingInterval:         10 * time.Second,
}

func (l Limits) orDefaults() Limits {
	d := DefaultLimits
	return Limits{
		Connections:          cmp.Or(l.Connections, d.Connections),
		StreamsPerConnection: cmp.Or(l.StreamsPerConnection, d.StreamsPerConnection),
		Pending:              cmp.Or(l.Pending, d.Pending),
		HeaderBytes:          cmp.Or(l.HeaderBytes, d.HeaderBytes),
		RequestBytes:         cmp.Or(l.RequestBytes, d.RequestBytes),
		ConnectionAge:        cmp.Or(l.ConnectionAge, d.ConnectionAge),
		IdleTimeout:          cmp.Or(l.IdleTimeout, d.IdleTimeout),
		HeaderTimeout:        cmp.Or(l.HeaderTimeout, d.HeaderTimeout),
		TransferTimeout:      cmp.Or(l.TransferTimeout, d.TransferTimeout),
		PingInterval:         cmp.Or(l.PingInterval, d.PingInterval),
	}
}

// What no deployment needs otherwise, and so is no limit of the above.
const (
	// streamsAtOnce is how many streams of health and reflection may be open: one for
	// each client that watches. Clients beyond do without: they hear of a shutdown when
	// their connection is closed.
	streamsAtOnce = 2000
	// streamWorkers is how many calls over gRPC find a goroutine that has made others
	// before.
	streamWorkers = 64
	// adminConnections is far more than probes, scrapes and engineers make.
	adminConnections = 1000
	// profilesAtOnce is how many profiles are taken at a time: each costs something,
	// and may take as long as the client likes.
	profilesAtOnce = 4
	// receiveWindow is how much of a request HTTP/2 lets a client send ahead. It is
	// the protocol's own; left to itself grpc-go lets it grow to 16 MiB.
	receiveWindow = 64 << 10
	// connectionWindow is how much a client may send ahead on all streams of an HTTP/2
	// connection together, over REST: grpc-go does not hold back with it. Left to
	// itself net/http takes 1 MiB.
	connectionWindow = 4 * receiveWindow
	// readFrame is the largest frame of HTTP/2, and the least that it can be: a
	// connection keeps the room for the largest that it has had. Left to itself
	// net/http takes 1 MiB.
	readFrame = 16 << 10
	// A connection that is silent for pingAfter is asked for a sign of life, and
	// given up without one within pingTimeout.
	pingAfter   = time.Minute
	pingTimeout = 20 * time.Second
	// userTimeout is how long TCP goes on where the peer takes nothing of what was
	// sent to it.
	userTimeout = 20 * time.Second
	// ageGrace is how long the calls of a connection that is too old may go on; those
	// of callers with no deadline need service.LongestCall.
	ageGrace = 2 * service.LongestCall
)

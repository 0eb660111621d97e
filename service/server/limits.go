package server

import (
	"cmp"
	"time"

	"github.com/quashdev/quash/service"
)

// Limits limit the memory and time that clients can use. They apply to gRPC and REST
// separately, except Pending. A field that is 0 takes its value from DefaultLimits.
type Limits struct {
	// Connections is the maximum number of open connections; more wait to be accepted.
	Connections int
	// StreamsPerConnection is the maximum number of calls in flight on one HTTP/2
	// connection. With more calls the client waits or opens another connection.
	StreamsPerConnection int
	// Pending is the maximum number of requests that have started and are not read yet, over
	// gRPC and REST together; more are rejected. A received message counts until its handler
	// starts. Over gRPC, tap slows a burst down; over REST the limit must have room for it.
	Pending int
	// HeaderBytes is the maximum size of a request's header.
	HeaderBytes int
	// RequestBytes is the maximum size of a gRPC message or HTTP body.
	RequestBytes int
	// ConnectionAge is the age at which a connection stops taking new calls. Calls in
	// progress finish.
	ConnectionAge time.Duration
	// IdleTimeout is the time after which a connection without calls is closed.
	IdleTimeout time.Duration
	// HeaderTimeout is the maximum time to set up a connection, and to receive the header of
	// a request.
	HeaderTimeout time.Duration
	// TransferTimeout is the maximum time to receive a request, and to send a response.
	TransferTimeout time.Duration
	// PingInterval is the minimum interval between pings of a gRPC client. A client that
	// keeps pinging more often is disconnected.
	PingInterval time.Duration
}

// DefaultLimits are the defaults of all limits. They are defined only here.
var DefaultLimits = Limits{
	Connections:          10_000,
	StreamsPerConnection: 1_000,
	Pending:              4_000,
	HeaderBytes:          32 << 10,
	RequestBytes:         64 << 10, // four times the longest token
	ConnectionAge:        30 * time.Minute,
	IdleTimeout:          11 * time.Minute, // load balancers keep theirs for up to 10: docs/scaling.md
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

// Limits without a flag: one value fits every deployment.
const (
	// streamsAtOnce is the maximum number of open health and reflection streams: one for each
	// client that watches health. Further clients run without the watch: they notice a
	// shutdown when their connection is closed.
	streamsAtOnce = 2000
	// streamWorkers is the number of goroutines that grpc-go keeps for calls.
	streamWorkers = 64
	// adminConnections is far more than probes, scrapes and engineers need.
	adminConnections = 1000
	// adminIdleTimeout is short, so that idle connections cannot keep a kubelet's probe
	// waiting until it restarts a pod that serves. It holds before the first request, too.
	adminIdleTimeout = 2 * time.Second
	// profilesAtOnce is the maximum number of profiles taken at the same time. Each costs CPU
	// time, and the client chooses how long it runs.
	profilesAtOnce = 4
	// receiveWindow is the HTTP/2 flow-control window of a stream: the protocol's default. By
	// default grpc-go lets it grow to 16 MiB.
	receiveWindow = 64 << 10
	// connectionWindow is the HTTP/2 flow-control window of a REST connection. net/http's
	// default is 1 MiB. It is not for gRPC: grpc-go's connection window does not hold clients
	// back.
	connectionWindow = 4 * receiveWindow
	// readFrame is the maximum HTTP/2 frame size; the protocol allows no smaller maximum. A
	// connection keeps a buffer of its largest frame. net/http's default is 1 MiB.
	readFrame = 16 << 10
	// A connection that is silent for pingAfter gets a ping. Without a response within
	// pingTimeout it is closed.
	pingAfter   = time.Minute
	pingTimeout = 20 * time.Second
	// userTimeout is how long TCP keeps a connection whose peer accepts no data.
	userTimeout = 20 * time.Second
	// ageGrace is how long calls may continue on a gRPC connection that has reached its
	// maximum age. Calls without a deadline need service.LongestCall.
	ageGrace = 2 * service.LongestCall
)

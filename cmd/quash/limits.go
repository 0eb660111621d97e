package main

import (
	"strconv"
	"time"

	"github.com/alecthomas/kong"

	"github.com/quashdev/quash/service"
	"github.com/quashdev/quash/service/server"
	"github.com/quashdev/quash/service/slashid"
)

// limitFlags bound the resources that callers can use. The limits on connections, sizes and
// times apply to gRPC and REST separately, --max-arriving and --max-in-flight to both together.
type limitFlags struct {
	MaxInFlight             int           `default:"${max_in_flight}" help:"Maximum number of revocations in flight, 1 to 1000000; more are rejected."`
	MaxConnections          int           `default:"${max_connections}" help:"Maximum number of open connections, for gRPC and REST each, 1 to 1000000; more wait to be accepted."`
	MaxStreamsPerConnection int           `default:"${max_streams_per_connection}" help:"Maximum number of open calls on one HTTP/2 connection, 1 to 1000000."`
	MaxArriving             int           `default:"${max_arriving}" help:"Maximum number of pending requests, which have started to arrive and are not fully read yet, for gRPC and REST together, 1 to 10000; more are rejected."`
	MaxHeaderBytes          int           `default:"${max_header_bytes}" help:"Maximum size of a request header in bytes, 4096 to 16777216."`
	MaxRequestBytes         int           `default:"${max_request_bytes}" help:"Maximum size of a request message or body in bytes, 20480 to 16777216."`
	MaxConnectionAge        time.Duration `default:"${max_connection_age}" help:"Maximum age of a client connection, at least 100ms. Then it accepts no new calls."`
	IdleTimeout             time.Duration `default:"${idle_timeout}" help:"Time after which a connection without calls is closed, at least 100ms."`
	HeaderTimeout           time.Duration `default:"${header_timeout}" help:"Maximum time for setting up a connection, and for receiving a request header, at least 100ms."`
	TransferTimeout         time.Duration `default:"${transfer_timeout}" help:"Maximum time for receiving a whole request, and for sending an answer, at least 100ms."`
	MinPingInterval         time.Duration `default:"${min_ping_interval}" help:"Minimum interval between pings of a gRPC client, at least 100ms. Clients that ping more often are disconnected."`
}

// limitDefaults returns the defaults for the flags from the packages that apply the limits.
func limitDefaults() kong.Vars {
	d := server.DefaultLimits
	return kong.Vars{
		"upstream_connection_age":    slashid.DefaultConnectionAge.String(),
		"max_in_flight":              strconv.Itoa(service.DefaultMaxInFlight),
		"max_connections":            strconv.Itoa(d.Connections),
		"max_streams_per_connection": strconv.Itoa(d.StreamsPerConnection),
		"max_arriving":               strconv.Itoa(d.Pending),
		"max_header_bytes":           strconv.Itoa(d.HeaderBytes),
		"max_request_bytes":          strconv.Itoa(d.RequestBytes),
		"max_connection_age":         d.ConnectionAge.String(),
		"idle_timeout":               d.IdleTimeout.String(),
		"header_timeout":             d.HeaderTimeout.String(),
		"transfer_timeout":           d.TransferTimeout.String(),
		"min_ping_interval":          d.PingInterval.String(),
	}
}

func (f *limitFlags) limits() server.Limits {
	return server.Limits{
		Connections:          f.MaxConnections,
		StreamsPerConnection: f.MaxStreamsPerConnection,
		Pending:              f.MaxArriving,
		HeaderBytes:          f.MaxHeaderBytes,
		RequestBytes:         f.MaxRequestBytes,
		ConnectionAge:        f.MaxConnectionAge,
		IdleTimeout:          f.IdleTimeout,
		HeaderTimeout:        f.HeaderTimeout,
		TransferTimeout:      f.TransferTimeout,
		PingInterval:         f.MinPingInterval,
	}
}

// The ranges of the limits. The minimum sizes leave room for the longest token and its headers.
const (
	minRequestBytes = 20 << 10
	minHeaderBytes  = 4 << 10
	maxBytes        = 16 << 20
	maxCount        = 1_000_000
	minTime         = 100 * time.Millisecond
)

func (f *limitFlags) check(wrong *usageError) {
	checkRange(wrong, "--max-in-flight", f.MaxInFlight, 1, maxCount)
	checkRange(wrong, "--max-connections", f.MaxConnections, 1, maxCount)
	checkRange(wrong, "--max-streams-per-connection", f.MaxStreamsPerConnection, 1, maxCount)
	checkRange(wrong, "--max-arriving", f.MaxArriving, 1, 10_000)
	checkRange(wrong, "--max-header-bytes", f.MaxHeaderBytes, minHeaderBytes, maxBytes)
	checkRange(wrong, "--max-request-bytes", f.MaxRequestBytes, minRequestBytes, maxBytes)
	checkAtLeast(wrong, "--max-connection-age", f.MaxConnectionAge, minTime)
	checkAtLeast(wrong, "--idle-timeout", f.IdleTimeout, minTime)
	checkAtLeast(wrong, "--header-timeout", f.HeaderTimeout, minTime)
	checkAtLeast(wrong, "--transfer-timeout", f.TransferTimeout, minTime)
	checkAtLeast(wrong, "--min-ping-interval", f.MinPingInterval, minTime)
}

package main

import (
	"fmt"
	"strconv"
	"time"

	"github.com/alecthomas/kong"

	"github.com/quashdev/quash/service"
	"github.com/quashdev/quash/service/server"
	"github.com/quashdev/quash/service/slashid"
)

// limitFlags bound what callers can make quash hold. Those of the servers hold for
// gRPC and REST, each by itself.
type limitFlags struct {
	MaxInFlight             int           `default:"${max_in_flight}" configz:"visible" help:"How many revocations may be in progress at once; more are refused."`
	MaxConnections          int           `default:"${max_connections}" configz:"visible" help:"How many connections may be open; more wait to be accepted."`
	MaxStreamsPerConnection int           `default:"${max_streams_per_connection}" configz:"visible" help:"How many calls a client may have open on one HTTP/2 connection."`
	MaxArriving             int           `default:"${max_arriving}" configz:"visible" help:"How many requests may have begun and not be read yet; more are refused."`
	MaxHeaderBytes          int           `default:"${max_header_bytes}" configz:"visible" help:"The largest header of a request."`
	MaxRequestBytes         int           `default:"${max_request_bytes}" configz:"visible" help:"The largest message or body of a request."`
	MaxConnectionAge        time.Duration `default:"${max_connection_age}" configz:"visible" help:"How long a connection takes new calls."`
	IdleTimeout             time.Duration `default:"${idle_timeout}" configz:"visible" help:"How long a connection without calls stays open."`
	HeaderTimeout           time.Duration `default:"${header_timeout}" configz:"visible" help:"How long a connection may take to be set up, and the header of a request to arrive."`
	TransferTimeout         time.Duration `default:"${transfer_timeout}" configz:"visible" help:"How long a request may take to arrive whole, and an answer to be taken."`
	MinPingInterval         time.Duration `default:"${min_ping_interval}" configz:"visible" help:"How often a gRPC client may ping; one that does so more often is disconnected."`
}

// limitDefaults are the defaults of those flags, which stand where they are used.
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

// The least that requests need: the longest token, and what goes with it, and some
// time.
const (
	leastRequestBytes = 20 << 10
	leastHeaderBytes  = 4 << 10
	mostBytes         = 16 << 20
	leastTime         = 100 * time.Millisecond
)

// check returns what is wrong with the flags.
func (f *limitFlags) check() (problems []string) {
	for _, n := range []struct {
		flag         string
		value        int
		atLeast, max int
	}{
		{"--max-in-flight", f.MaxInFlight, 1, 1_000_000},
		{"--max-connections", f.MaxConnections, 1, 1_000_000},
		{"--max-streams-per-connection", f.MaxStreamsPerConnection, 1, 1_000_000},
		{"--max-arriving", f.MaxArriving, 1, 10_000},
		{"--max-header-bytes", f.MaxHeaderBytes, leastHeaderBytes, mostBytes},
		{"--max-request-bytes", f.MaxRequestBytes, leastRequestBytes, mostBytes},
	} {
		if n.value < n.atLeast || n.value > n.max {
			problems = append(problems, fmt.Sprintf("%s must be from %d to %d, and is %d", n.flag, n.atLeast, n.max, n.value))
		}
	}
	for _, d := range []struct {
		flag  string
		value time.Duration
	}{
		{"--max-connection-age", f.MaxConnectionAge},
		{"--idle-timeout", f.IdleTimeout},
		{"--header-timeout", f.HeaderTimeout},
		{"--transfer-timeout", f.TransferTimeout},
		{"--min-ping-interval", f.MinPingInterval},
	} {
		if d.value < leastTime {
			problems = append(problems, fmt.Sprintf("%s must be at least %s, and is %s", d.flag, leastTime, d.value))
		}
	}
	return problems
}

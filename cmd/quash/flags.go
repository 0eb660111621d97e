package main

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strconv"
	"time"

	"github.com/quashdev/quash/internal/telemetry"
	"github.com/quashdev/quash/service/server"
)

// serverFlags are the flags of a façade, whatever is upstream of it.
type serverFlags struct {
	GRPCAddr  string `name:"grpc-addr"  default:"${host}:9090" help:"Where to serve gRPC, host:port; an empty host means every interface."`
	HTTPAddr  string `name:"http-addr"  default:"${host}:8080" help:"Where to serve REST."`
	AdminAddr string `name:"admin-addr" default:"127.0.0.1:9091" help:"Where to serve probes and what else operators need, which its first page lists: in plaintext on loopback, else with the TLS certificate, and no certificate is asked for."`

	tlsFlags     `group:"Who may call"`
	limitFlags   `group:"Limits"`
	browserFlags `group:"Browsers"`

	DeadlineMargin time.Duration `default:"20ms" help:"How much of a caller's deadline is reserved for bringing the answer back, up to 10s."`
	DrainDelay     time.Duration `default:"${drain_delay}" help:"How long to go on serving after SIGTERM, while load balancers notice."`
	DrainTimeout   time.Duration `default:"130s" help:"How long running calls may take to finish at shutdown."`

	Insecure   bool `help:"Serve plaintext where there is no TLS certificate, and allow a plaintext upstream, beyond loopback too."`
	Reflection bool `default:"${reflection}" negatable:"" help:"Let gRPC clients ask which services there are."`

	LogLevel  string `default:"info" enum:"debug,info,warn,error" help:"The minimum level to log, until it is changed at the admin listener: debug, info, warn or error."`
	LogFormat string `default:"${log_format}" enum:"json,text" help:"How to log: json or text."`
}

// browserFlags are what REST does for browsers: nothing, unless one of them is set.
type browserFlags struct {
	Docs              bool     `default:"${docs}" negatable:"" help:"Serve a page at /docs of REST where people read the API and try it."`
	CORSAllowedOrigin []string `name:"cors-allowed-origin" help:"An origin whose pages may call REST from a browser, for instance https://app.example.com. Repeatable." placeholder:"ORIGIN"`
}

// maxDeadlineMargin is far beyond what it takes to bring an answer to a caller. Callers
// with less time would never be served.
const maxDeadlineMargin = 10 * time.Second

// check looks at the flags, but not at the files that they name.
func (f *serverFlags) check(wrong *usageError) {
	for _, addr := range []struct{ flag, value string }{
		{"--grpc-addr", f.GRPCAddr},
		{"--http-addr", f.HTTPAddr},
		{"--admin-addr", f.AdminAddr},
	} {
		checkListener(wrong, addr.flag, addr.value, f.Insecure || f.enabled(), "set --tls-cert-file and --tls-key-file, ")
	}
	checkRange(wrong, "--deadline-margin", f.DeadlineMargin, 0, maxDeadlineMargin)
	checkAtLeast(wrong, "--drain-delay", f.DrainDelay, 0)
	checkAtLeast(wrong, "--drain-timeout", f.DrainTimeout, 0)
	for _, origin := range f.CORSAllowedOrigin {
		if err := server.CheckOrigin(origin); err != nil {
			wrong.addf("--cors-allowed-origin must be an origin such as https://app.example.com, and is %q: %s", origin, err)
		}
	}
	f.limitFlags.check(wrong)
}

// newLogger returns a log, and its level, which the admin listener can change.
func (f *serverFlags) newLogger(w io.Writer) (*slog.Logger, *slog.LevelVar) {
	level := new(slog.LevelVar)
	_ = level.UnmarshalText([]byte(f.LogLevel)) // one of the enum
	options := &slog.HandlerOptions{Level: level}
	var handler slog.Handler = slog.NewJSONHandler(w, options)
	if f.LogFormat == "text" {
		handler = slog.NewTextHandler(w, options)
	}
	return slog.New(telemetry.WithTraceID(handler)), level
}

// checkListener looks at an address to serve at. safe is whether that may be done beyond
// this machine; instead says what else would make it so.
func checkListener(wrong *usageError, flag, addr string, safe bool, instead string) {
	if err := checkAddr(addr); err != nil {
		wrong.addf("%s %q: %s", flag, addr, err)
		return
	}
	if !safe && !isLoopback(addr) {
		_, port, _ := net.SplitHostPort(addr)
		wrong.addf("%s %q would serve plaintext beyond this machine: use a loopback address such as 127.0.0.1:%s, %sor accept it with --insecure",
			flag, addr, port, instead)
	}
}

func checkAddr(addr string) error {
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		return errors.New("it must be host:port, for instance 127.0.0.1:9090")
	}
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		return fmt.Errorf("its port must be a number from 0 to 65535, not %q", port)
	}
	return nil
}

// isLoopback reports whether only this machine can reach addr.
func isLoopback(addr string) bool {
	host, _, err := net.SplitHostPort(addr)
	return err == nil && isLoopbackHost(host)
}

func isLoopbackHost(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// fileName is the name of a file. A flag or a variable that is there and empty is a
// mistake, of a template for instance, and must not mean that everyone may call.
type fileName string

// UnmarshalText implements encoding.TextUnmarshaler for kong.
func (f *fileName) UnmarshalText(text []byte) error {
	if len(text) == 0 {
		return errors.New("it must be the name of a file, and is empty")
	}
	*f = fileName(text)
	return nil
}

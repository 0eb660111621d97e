package main

import (
	"context"
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

// serverFlags are the flags that quash serve and quash dev share.
type serverFlags struct {
	GRPCAddr  string `name:"grpc-addr"  default:"${host}:9090" help:"Listen address for gRPC, host:port. An empty host means every interface."`
	HTTPAddr  string `name:"http-addr"  default:"${host}:8080" help:"Listen address for REST, host:port. An empty host means every interface."`
	AdminAddr string `name:"admin-addr" default:"127.0.0.1:9091" help:"Listen address for probes, metrics and diagnostics, host:port; its page / lists them. Plaintext on loopback, elsewhere TLS with --tls-cert-file. Clients need no certificate."`

	tlsFlags     `group:"TLS and callers"`
	limitFlags   `group:"Limits"`
	browserFlags `group:"Browsers"`

	DeadlineMargin time.Duration `default:"20ms" help:"Time before a caller's deadline that is reserved for returning the answer, 0s to 10s."`
	DrainDelay     time.Duration `default:"${drain_delay}" help:"Time to keep serving after SIGTERM, until load balancers stop sending requests."`
	DrainTimeout   time.Duration `default:"130s" help:"Maximum time at shutdown, after --drain-delay, for calls in flight to finish. Then they are cut off."`

	Insecure   bool `help:"Allow plaintext beyond loopback: to serve without a TLS certificate, and to call an http:// upstream."`
	Reflection bool `default:"${reflection}" negatable:"" help:"Serve gRPC reflection, which lists the services to clients such as grpcurl."`

	LogLevel  string `default:"info" enum:"debug,info,warn,error" help:"Minimum log level: debug, info, warn or error. The admin listener can change it at run time."`
	LogFormat string `default:"${log_format}" enum:"json,text" help:"Log format: json or text."`
}

// Help is kong's detailed help of the commands that serve.
func (*serverFlags) Help() string {
	return "SIGHUP reloads the files that the flags name, and the log says what changed. " +
		"SIGTERM and SIGINT drain and stop; a second one stops at once. " +
		"The exit code is 0 after a drain, 1 after a failure, and 2 if a flag is wrong."
}

// browserFlags enable what REST offers to browsers.
type browserFlags struct {
	Docs              bool     `default:"${docs}" negatable:"" help:"Serve a page at /docs of the REST listener to read and try the API."`
	CORSAllowedOrigin []string `name:"cors-allowed-origin" help:"Origin whose pages may call REST from a browser (CORS), for instance https://app.example.com. Repeatable. If unset, no origin may." placeholder:"ORIGIN"`
}

// maxDeadlineMargin is far more than returning an answer takes. Calls with a shorter deadline
// than the margin are always rejected.
const maxDeadlineMargin = 10 * time.Second

// check validates the flags, but not the files that they name.
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
			wrong.addf("--cors-allowed-origin %q: %s; an example is https://app.example.com", origin, err)
		}
	}
	f.limitFlags.check(wrong)
}

// newLogger returns a logger, its level, which the admin listener can change, and the queue
// between the logger and w. The queue must be closed.
func (f *serverFlags) newLogger(w io.Writer) (*slog.Logger, *slog.LevelVar, *logQueue) {
	level := new(slog.LevelVar)
	_ = level.UnmarshalText([]byte(f.LogLevel)) // the enum tag has checked it
	handler := func(w io.Writer) slog.Handler {
		options := &slog.HandlerOptions{Level: level}
		if f.LogFormat == "text" {
			return slog.NewTextHandler(w, options)
		}
		return slog.NewJSONHandler(w, options)
	}
	direct := handler(w)
	queue := newLogQueue(w, func(dropped int64) error {
		record := slog.NewRecord(time.Now(), slog.LevelWarn, "log lines dropped", 0)
		record.Add("count", dropped)
		return direct.Handle(context.Background(), record)
	})
	return slog.New(telemetry.WithTraceID(handler(queue))), level, queue
}

// checkListener validates a listen address. safe reports whether the listener may serve beyond
// loopback. If not, instead is a part of the error that says how to make it safe.
func checkListener(wrong *usageError, flag, addr string, safe bool, instead string) {
	if err := checkAddr(addr); err != nil {
		wrong.addf("%s %q: %s", flag, addr, err)
		return
	}
	if !safe && !isLoopback(addr) {
		_, port, _ := net.SplitHostPort(addr)
		wrong.addf("%s %q: would serve plaintext beyond loopback; use a loopback address such as 127.0.0.1:%s, %sor allow plaintext with --insecure",
			flag, addr, port, instead)
	}
}

func checkAddr(addr string) error {
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		return errors.New("it must be host:port, for instance 127.0.0.1:9090")
	}
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		return fmt.Errorf("the port must be a number from 0 to 65535, got %q", port)
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

// fileName is the name of a file. An empty value is an error: a template may have left it
// empty by mistake, and that must not turn off a check such as --allowed-callers-file.
type fileName string

// UnmarshalText implements encoding.TextUnmarshaler for kong.
func (f *fileName) UnmarshalText(text []byte) error {
	if len(text) == 0 {
		return errors.New("it must be the name of a file, but is empty")
	}
	*f = fileName(text)
	return nil
}

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
	"github.com/quashdev/quash/service"
	"github.com/quashdev/quash/service/server"
	"github.com/quashdev/quash/service/slashid"
)

// maxDeadlineMargin is far beyond what it takes to bring an answer to a caller.
const maxDeadlineMargin = 10 * time.Second

// serverFlags are the flags of a façade, whatever is upstream of it.
type serverFlags struct {
	GRPCAddr  string `name:"grpc-addr"  default:"${host}:9090" configz:"visible" help:"Where to serve gRPC, host:port; an empty host means every interface."`
	HTTPAddr  string `name:"http-addr"  default:"${host}:8080" configz:"visible" help:"Where to serve REST."`
	AdminAddr string `name:"admin-addr" default:"127.0.0.1:9091" configz:"visible" help:"Where to serve probes and what else operators need, which its first page lists: in plaintext on loopback, else with the TLS certificate, and no certificate is asked for."`

	tlsFlags     `group:"Who may call"`
	limitFlags   `group:"Limits"`
	browserFlags `group:"Browsers"`

	DeadlineMargin time.Duration `default:"20ms" configz:"visible" help:"What is kept back of a caller's deadline to bring the answer to it."`
	DrainDelay     time.Duration `default:"${drain_delay}" configz:"visible" help:"How long to go on serving after SIGTERM, while load balancers notice."`
	DrainTimeout   time.Duration `default:"130s" configz:"visible" help:"How long running calls may take to finish at shutdown."`

	Insecure   bool `configz:"visible" help:"Serve plaintext where there is no TLS certificate, and allow a plaintext upstream, beyond loopback too."`
	Reflection bool `default:"${reflection}" negatable:"" configz:"visible" help:"Let gRPC clients ask which services there are."`

	LogLevel  slog.Level `default:"info" configz:"visible" help:"The least level to log, until it is changed at the admin listener: debug, info, warn or error."`
	LogFormat logFormat  `default:"${log_format}" configz:"visible" help:"How to log: json or text."`

	// settings are what is shown of all flags of the command, these included.
	settings configz
	// level is that of the log: LogLevel, until it is changed.
	level *slog.LevelVar
}

// check returns what is wrong with the flags, but for the files they name.
func (f *serverFlags) check() (problems []string) {
	for _, addr := range []struct{ flag, value string }{
		{"--grpc-addr", f.GRPCAddr},
		{"--http-addr", f.HTTPAddr},
		{"--admin-addr", f.AdminAddr},
	} {
		problems = append(problems, checkListener(addr.flag, addr.value, f.Insecure || f.enabled(), "set --tls-cert-file and --tls-key-file, ")...)
	}
	for _, d := range []struct {
		flag  string
		value time.Duration
	}{
		{"--deadline-margin", f.DeadlineMargin},
		{"--drain-delay", f.DrainDelay},
		{"--drain-timeout", f.DrainTimeout},
	} {
		if d.value < 0 {
			problems = append(problems, fmt.Sprintf("%s must not be negative, and is %s", d.flag, d.value))
		}
	}
	if f.DeadlineMargin > maxDeadlineMargin {
		problems = append(problems, fmt.Sprintf("--deadline-margin must be at most %s, and is %s: callers with less time would never be served",
			maxDeadlineMargin, f.DeadlineMargin))
	}
	problems = append(problems, f.browserFlags.check()...)
	return append(problems, f.limitFlags.check()...)
}

// newFacade builds and binds the façade that the flags describe, in front of
// upstream. apiKey is its own key there; absent, it forwards its callers'.
func (f *serverFlags) newFacade(
	ctx context.Context, logger *slog.Logger, upstream slashid.Config, apiKey func() slashid.Secret, callers access,
) (*facade, error) {
	withholdForeignLogs(logger)
	observed, err := telemetry.New(ctx, buildInfo().Version)
	if err != nil {
		return nil, &usageError{[]string{err.Error()}}
	}
	s, err := f.newServer(ctx, logger, observed, upstream, apiKey, callers)
	built := &facade{Server: s, logger: logger, telemetry: observed, watched: callers.watched}
	if err != nil {
		built.endTelemetry(ctx)
		return nil, err
	}
	return built, nil
}

func (f *serverFlags) newServer(
	ctx context.Context, logger *slog.Logger, observed *telemetry.Telemetry,
	upstream slashid.Config, apiKey func() slashid.Secret, callers access,
) (*server.Server, error) {
	if err := observeFiles(ctx, observed.Meters, callers); err != nil {
		return nil, err
	}
	upstream.Telemetry = slashid.Telemetry{
		Tracers: observed.Tracers, Meters: observed.Meters, Propagator: observed.Propagator,
	}
	svc, err := service.New(service.Config{ //nolint:contextcheck // the service's life
		Upstream:       slashid.New(upstream), //nolint:contextcheck // likewise
		APIKey:         apiKey,
		DeadlineMargin: f.DeadlineMargin,
		MaxInFlight:    f.MaxInFlight,
		Logger:         logger,
		Meter:          observed.Meters.Meter("github.com/quashdev/quash/service"),
	})
	if err != nil {
		return nil, err
	}
	cfg := server.Config{
		Service:        svc,
		GRPCAddr:       f.GRPCAddr,
		HTTPAddr:       f.HTTPAddr,
		AdminAddr:      f.AdminAddr,
		Reflection:     f.Reflection,
		DrainDelay:     f.DrainDelay,
		DrainTimeout:   f.DrainTimeout,
		TLS:            callers.tls,
		AllowedCallers: callers.allowed,
		Limits:         f.limits(),
		Settings:       f.settings.towards(upstream, apiKey),
		LogLevel:       f.level,
		Build:          buildInfo(),
		Logger:         logger,
		Telemetry:      observed,

		Docs:               f.Docs,
		CORSAllowedOrigins: f.CORSAllowedOrigin,
	}
	if callers.tls != nil && !isLoopback(f.AdminAddr) {
		// Probes and scrapes come from whom no authority of callers has vouched for.
		cfg.AdminTLS = &server.TLS{Certificate: callers.tls.Certificate, MinVersion: callers.tls.MinVersion}
	}
	return server.New(ctx, cfg)
}

// logger returns a log at a level that the façade can change.
func (f *serverFlags) logger(w io.Writer) *slog.Logger {
	f.level = new(slog.LevelVar)
	f.level.Set(f.LogLevel)
	options := &slog.HandlerOptions{Level: f.level}
	if f.LogFormat == logText {
		return slog.New(telemetry.WithTraceID(slog.NewTextHandler(w, options)))
	}
	return slog.New(telemetry.WithTraceID(slog.NewJSONHandler(w, options)))
}

type logFormat string

const (
	logJSON logFormat = "json"
	logText logFormat = "text"
)

func parseLogFormat(text string) (logFormat, error) {
	switch format := logFormat(text); format {
	case logJSON, logText:
		return format, nil
	default:
		return "", errors.New("unknown format")
	}
}

func parseLevel(text string) (slog.Level, error) {
	var level slog.Level
	err := level.UnmarshalText([]byte(text))
	return level, err
}

func parseInt(text string) (int, error) { return strconv.Atoi(text) }

// checkListener returns what is wrong with serving at addr. safe is whether that
// may be done beyond this machine; instead says what else would make it so.
func checkListener(flag, addr string, safe bool, instead string) (problems []string) {
	if err := checkAddr(addr); err != nil {
		return []string{fmt.Sprintf("%s %q: %s", flag, addr, err)}
	}
	if safe || isLoopback(addr) {
		return nil
	}
	return []string{fmt.Sprintf(
		"%s %q would serve plaintext beyond this machine: use a loopback address such as 127.0.0.1:%s, %sor accept it with --insecure",
		flag, addr, portOf(addr), instead)}
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

func portOf(addr string) string {
	_, port, _ := net.SplitHostPort(addr)
	return port
}

package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/health"

	quashv1 "github.com/quashdev/quash/gen/quash/v1"
	"github.com/quashdev/quash/internal/telemetry"
)

// Service is the service behind the servers. It completes a revocation in the background
// after the caller has disconnected.
type Service interface {
	quashv1.TokenServiceServer

	// Drain makes the service reject new calls. Calls in progress continue.
	Drain()
	// Wait returns when no revocation is in progress. When ctx ends, it cancels those that
	// are left.
	Wait(ctx context.Context) error
}

// Config is the configuration of a Server. Addresses are host:port; port 0 picks a free
// port.
type Config struct {
	Service Service

	GRPCAddr  string
	HTTPAddr  string
	AdminAddr string

	// Reflection enables gRPC server reflection, which clients such as grpcurl use.
	Reflection bool
	// Docs serves /docs on the REST listener, a page to read and try the API.
	Docs bool
	// CORSAllowedOrigins are the origins whose pages may call REST from a browser. Each must
	// pass CheckOrigin. If empty, no page may call.
	CORSAllowedOrigins []string

	// DrainDelay is the time between reporting not ready and closing the listeners. Calls
	// are still served, while load balancers notice.
	DrainDelay time.Duration
	// DrainTimeout limits the rest of the shutdown. Calls that still run then are cut off.
	DrainTimeout time.Duration

	// TLS is for gRPC and REST, AdminTLS for the admin listener. nil means plaintext.
	TLS, AdminTLS *TLS
	// AllowedCallers returns the current list of clients that may call. If AllowedCallers is
	// nil, every client that completes the handshake may call.
	AllowedCallers func() AllowedCallers

	Limits Limits

	// Settings are the flags and their sources. /configz shows them as JSON, so they must
	// contain no secrets.
	Settings any
	// LogLevel is the minimum level of Logger. The admin listener changes it.
	LogLevel *slog.LevelVar

	Build  BuildInfo
	Logger *slog.Logger
	// Telemetry receives spans and metrics. If it is nil, they are discarded.
	Telemetry *telemetry.Telemetry
}

// callers describes the clients that may call, for the log and /configz.
func (c Config) callers() string {
	switch {
	case c.AllowedCallers != nil:
		return "clients on the list of allowed callers"
	case c.TLS != nil && c.TLS.ClientCAs != nil:
		return "clients with a certificate from the client CA"
	default:
		return "everyone"
	}
}

// Server is a quash whose listeners are bound. Call Run, which closes them when it returns,
// or Close.
type Server struct {
	cfg    Config
	health *health.Server
	// endStreams ends health and reflection streams, which would delay the shutdown.
	endStreams context.CancelFunc
	ready      atomic.Bool

	grpc  *grpc.Server
	rest  *http.Server
	admin *http.Server

	grpcListener, restListener, adminListener *limitedListener
}

// Addrs are the addresses of a server's listeners.
type Addrs struct{ GRPC, HTTP, Admin net.Addr }

// New binds all listeners and builds their servers. If New fails, no listener stays open;
// the error names every address that could not be bound.
func New(ctx context.Context, cfg Config) (*Server, error) {
	cfg.Limits = cfg.Limits.orDefaults()
	if cfg.Telemetry == nil {
		cfg.Telemetry = telemetry.None()
	}
	s := &Server{cfg: cfg}
	observer, err := newObserver(ctx, cfg.Telemetry, cfg.Logger)
	if err != nil {
		return nil, err
	}
	pending := newPending(cfg.Limits)
	rest, err := newREST(ctx, cfg, pending, observer)
	if err != nil {
		return nil, err
	}
	var failures []error
	bind := func(flag, addr string, connections int) *limitedListener {
		l, err := Listen(ctx, flag, addr)
		if err != nil {
			failures = append(failures, err)
			return nil
		}
		return limitConnections(l, connections, cfg.Logger)
	}
	s.grpcListener = bind("--grpc-addr", cfg.GRPCAddr, cfg.Limits.Connections)
	s.restListener = bind("--http-addr", cfg.HTTPAddr, cfg.Limits.Connections)
	s.adminListener = bind("--admin-addr", cfg.AdminAddr, adminConnections)
	if len(failures) > 0 {
		s.Close()
		return nil, errors.Join(failures...)
	}
	if err := s.observeListeners(cfg.Telemetry.Meters, pending); err != nil {
		s.Close()
		return nil, err
	}
	streams, endStreams := context.WithCancel(context.Background())
	s.endStreams = endStreams
	s.grpc, s.health = newGRPC(streams, cfg, pending, observer) //nolint:contextcheck // the server's life
	s.rest = newHTTPServer(closeOnDrain(rest, &s.ready, cfg.Limits.ConnectionAge), cfg.Limits, cfg.Logger)
	admin := newAdmin(&s.ready, cfg.Build, cfg.Telemetry.Metrics, s.serveConfigz, &logLevel{level: cfg.LogLevel, log: cfg.Logger})
	adminLimits := cfg.Limits
	adminLimits.HeaderTimeout = min(adminLimits.HeaderTimeout, adminIdleTimeout)
	adminLimits.IdleTimeout = min(adminLimits.IdleTimeout, adminIdleTimeout)
	s.admin = newHTTPServer(admin, adminLimits, cfg.Logger)
	return s, nil
}

// Close releases the listeners of a server that does not Run.
func (s *Server) Close() {
	if s.grpc != nil {
		s.grpc.Stop()
	}
	for _, l := range s.listeners() {
		if l != nil {
			_ = l.Close()
		}
	}
}

// listeners returns the listeners by the names in metrics. While New runs, some are nil.
func (s *Server) listeners() map[string]*limitedListener {
	return map[string]*limitedListener{"grpc": s.grpcListener, "http": s.restListener, "admin": s.adminListener}
}

// Addrs returns the addresses that the server listens on.
func (s *Server) Addrs() Addrs {
	return Addrs{s.grpcListener.Addr(), s.restListener.Addr(), s.adminListener.Addr()}
}

// Run serves until ctx ends or a listener fails, then shuts down:
//
//  1. It reports not ready, and serves for DrainDelay.
//  2. It stops REST and gRPC gracefully.
//  3. It waits for revocations in the background.
//  4. It stops admin.
//
// The error is the listener's failure, or says that calls were cut off.
func (s *Server) Run(ctx context.Context) error {
	failed := make(chan error, 3)
	serve := func(name string, run func() error) {
		go func() {
			// A stopped server returns one of these, even if it was stopped before it served.
			err := run()
			if err != nil && !errors.Is(err, http.ErrServerClosed) && !errors.Is(err, grpc.ErrServerStopped) {
				failed <- fmt.Errorf("serve %s: %w", name, err)
				return
			}
			failed <- nil
		}()
	}
	serve("gRPC", func() error { return s.grpc.Serve(s.grpcListener) })
	serve("REST", func() error { return s.cfg.TLS.serveHTTP(s.rest, s.restListener) })
	serve("admin", func() error { return s.cfg.AdminTLS.serveHTTP(s.admin, s.adminListener) })
	s.ready.Store(true)
	s.cfg.Logger.Info("serving",
		"grpc", s.grpcListener.Addr().String(),
		"http", s.restListener.Addr().String(),
		"admin", s.adminListener.Addr().String(),
		"callers", s.cfg.callers(),
	)
	var failures []error
	running := 3
	select {
	case <-ctx.Done():
		s.cfg.Logger.Info("shutting down", "drain_delay", s.cfg.DrainDelay.String(), "drain_timeout", s.cfg.DrainTimeout.String())
	case err := <-failed:
		running--
		failures = append(failures, err)
	}
	failures = append(failures, s.shutDown(context.WithoutCancel(ctx)))
	for range running {
		failures = append(failures, <-failed)
	}
	return errors.Join(failures...)
}

func (s *Server) shutDown(ctx context.Context) error {
	s.ready.Store(false) // closeOnDrain reads it
	s.health.Shutdown()
	time.Sleep(s.cfg.DrainDelay)
	ctx, cancel := context.WithTimeout(ctx, s.cfg.DrainTimeout)
	defer cancel()
	s.endStreams()
	// Stop both at the same time. One after the other, the clients of the second would
	// reconnect elsewhere only after the last call of the first, which may take two minutes.
	// Calls that still arrive are served: a rejected caller has to wait, and some do not retry.
	var stopping sync.WaitGroup
	stopping.Go(func() { stopHTTP(ctx, s.rest) })
	stopping.Go(func() { stopGRPC(ctx, s.grpc) })
	stopping.Wait()
	s.cfg.Service.Drain()
	// Calls that were cut off above continue as revocations in the background.
	err := s.cfg.Service.Wait(ctx)
	// A profile may take minutes; it is cut off.
	ctx, cancel = context.WithTimeout(ctx, time.Second)
	defer cancel()
	stopHTTP(ctx, s.admin)
	if err == nil {
		s.cfg.Logger.Info("shutdown complete")
	}
	return err
}

// stopHTTP stops s gracefully. When ctx ends, it cuts off the calls in progress.
func stopHTTP(ctx context.Context, s *http.Server) {
	if s.Shutdown(ctx) != nil {
		_ = s.Close()
	}
}

// stopGRPC stops s gracefully. When ctx ends, it cuts off the calls in progress.
func stopGRPC(ctx context.Context, s *grpc.Server) {
	defer context.AfterFunc(ctx, s.Stop)()
	s.GracefulStop()
}

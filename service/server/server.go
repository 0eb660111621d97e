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

// Service is what is served. It outlasts its callers: where one has gone, what it
// asked for goes on.
type Service interface {
	quashv1.TokenServiceServer

	// Drain refuses calls from then on; those in progress go on.
	Drain()
	// Wait returns once nothing is in progress, or ctx has ended what was.
	Wait(ctx context.Context) error
}

// Config says what to serve and where. Addresses are host:port; port 0 takes a
// free one.
type Config struct {
	Service Service

	GRPCAddr  string
	HTTPAddr  string
	AdminAddr string

	// Reflection lets clients such as grpcurl ask which services there are.
	Reflection bool
	// Docs serves a page at /docs of REST where people read the API and try it.
	Docs bool
	// CORSAllowedOrigins are the origins whose pages may call REST from a browser, as
	// CheckOrigin wants them. Without any, no page may.
	CORSAllowedOrigins []string

	// DrainDelay is how long calls are still served after the server has begun to
	// say that it is not ready, for load balancers to notice.
	DrainDelay time.Duration
	// DrainTimeout bounds the whole shutdown after that; calls still running then
	// are cut off.
	DrainTimeout time.Duration

	// TLS is that of gRPC and REST, AdminTLS that of the admin listener. Where one is
	// nil, plaintext is served.
	TLS, AdminTLS *TLS
	// AllowedCallers returns who may call, as it is now. Where it is nil, everyone
	// may who gets past the handshake.
	AllowedCallers func() AllowedCallers

	Limits Limits

	// Settings are what /configz shows of where all this comes from, as JSON, and so
	// without secrets.
	Settings any
	// LogLevel is what Logger goes by. The admin listener changes it.
	LogLevel *slog.LevelVar

	Build  BuildInfo
	Logger *slog.Logger
	// Telemetry is where spans and metrics go; nil for nowhere.
	Telemetry *telemetry.Telemetry
}

// callers is who may call, for the log.
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

// Server is a quash whose listeners are bound. Run releases them at its end;
// without it Close must be called.
type Server struct {
	cfg    Config
	health *health.Server
	// endStreams ends the streams that would hold up the shutdown.
	endStreams context.CancelFunc
	ready      atomic.Bool

	grpc  *grpc.Server
	rest  *http.Server
	admin *http.Server

	grpcListener, restListener, adminListener *limitedListener
}

// Addrs are the addresses that a server is bound to.
type Addrs struct{ GRPC, HTTP, Admin net.Addr }

// New binds all listeners and builds the servers behind them. When any of it
// fails it reports everything that did, and nothing stays bound.
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
		return limitConnections(l, connections)
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
	s.admin = newHTTPServer(admin, cfg.Limits, cfg.Logger)
	return s, nil
}

// Close releases what a server has that is not going to Run.
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

// listeners are all of them, by the names that operators see. New may leave some nil.
func (s *Server) listeners() map[string]*limitedListener {
	return map[string]*limitedListener{"grpc": s.grpcListener, "http": s.restListener, "admin": s.adminListener}
}

// Addrs returns where the server listens.
func (s *Server) Addrs() Addrs {
	return Addrs{s.grpcListener.Addr(), s.restListener.Addr(), s.adminListener.Addr()}
}

// Run serves until ctx ends or a listener fails, then shuts down in order: not
// ready, DrainDelay while still serving, REST and gRPC, revocations that go on
// without their callers, admin. It returns the
// listener's failure, or that calls had to be cut off.
func (s *Server) Run(ctx context.Context) error {
	failed := make(chan error, 3)
	serve := func(name string, run func() error) {
		go func() {
			// Either is what a server says that was stopped, also before it began.
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
	s.ready.Store(false) // closeOnDrain looks at it
	s.health.Shutdown()
	time.Sleep(s.cfg.DrainDelay)
	ctx, cancel := context.WithTimeout(ctx, s.cfg.DrainTimeout)
	defer cancel()
	s.endStreams()
	// Both at once: the callers of each reconnect elsewhere now, and not after the other's
	// last call, which may take two minutes. A call that comes before they know is served
	// rather than refused: a caller that is refused has to wait, and some do not try again.
	var stopping sync.WaitGroup
	stopping.Go(func() { stopHTTP(ctx, s.rest) })
	stopping.Go(func() { stopGRPC(ctx, s.grpc) })
	stopping.Wait()
	s.cfg.Service.Drain()
	// Whatever was cut off by that is a revocation in progress, and counted here.
	err := s.cfg.Service.Wait(ctx)
	// A profile that is being taken is not worth the wait.
	ctx, cancel = context.WithTimeout(ctx, time.Second)
	defer cancel()
	stopHTTP(ctx, s.admin)
	if err == nil {
		s.cfg.Logger.Info("shutdown complete")
	}
	return err
}

// stopHTTP lets the calls in progress finish, and cuts them off when ctx ends.
func stopHTTP(ctx context.Context, s *http.Server) {
	if s.Shutdown(ctx) != nil {
		_ = s.Close()
	}
}

// stopGRPC does the same for gRPC.
func stopGRPC(ctx context.Context, s *grpc.Server) {
	defer context.AfterFunc(ctx, s.Stop)()
	s.GracefulStop()
}

// Command usual-parts is a façade of the usual parts, each with the defaults and options that its
// documentation shows. It serves quash's API over gRPC, and its native route over REST, with the
// features of these libraries and no others. It is a program of its own, so that its libraries do
// not add to the memory of the other contenders.
package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"time"

	"buf.build/go/protovalidate"
	grpcprom "github.com/grpc-ecosystem/go-grpc-middleware/providers/prometheus"
	"github.com/grpc-ecosystem/go-grpc-middleware/v2/interceptors/logging"
	protovalidateinterceptor "github.com/grpc-ecosystem/go-grpc-middleware/v2/interceptors/protovalidate"
	"github.com/grpc-ecosystem/go-grpc-middleware/v2/interceptors/recovery"
	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	"github.com/hashicorp/go-retryablehttp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/sony/gobreaker/v2"
	"go.opentelemetry.io/contrib/instrumentation/google.golang.org/grpc/otelgrpc"
	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	otelprom "go.opentelemetry.io/otel/exporters/prometheus"
	"go.opentelemetry.io/otel/propagation"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"

	"github.com/quashdev/quash/bench/calls"
	gateway "github.com/quashdev/quash/gen/gateway/quash/v1"
	quashv1 "github.com/quashdev/quash/gen/quash/v1"
)

const apiKey = "key" // that of the other contenders

// SlashID's headers.
const (
	correlationHeader = "Slashid-Correlation-Id"
	consistencyHeader = "Slashid-Required-Consistency"
	timeoutHeader     = "Slashid-Required-Consistency-Timeout"
)

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: usual-parts UPSTREAM-URL CA-FILE")
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal terminates the process at once
	if err := serve(ctx, os.Args[1], os.Args[2]); err != nil {
		fmt.Fprintln(os.Stderr, "usual-parts:", err)
		os.Exit(1)
	}
}

// shutdownTimeout is a usual limit, which ends before Kubernetes kills a pod.
const shutdownTimeout = 25 * time.Second

func serve(ctx context.Context, upstreamURL, caFile string) error {
	authorities, err := os.ReadFile(caFile)
	if err != nil {
		return err
	}
	grpcListener, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	httpListener, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	logger := slog.New(slog.NewJSONHandler(os.Stderr, nil))
	registry := prometheus.NewRegistry()
	stopTracing, err := startTracing(ctx)
	if err != nil {
		return err
	}
	defer stopTracing()
	service, err := newService(upstreamURL, calls.NewTransport(authorities), logger, registry)
	if err != nil {
		return err
	}
	healthServer := health.NewServer()
	server, err := newServer(logger, registry)
	if err != nil {
		return err
	}
	quashv1.RegisterTokenServiceServer(server, service)
	healthpb.RegisterHealthServer(server, healthServer)
	connected, disconnect := context.WithCancel(context.WithoutCancel(ctx)) // until REST has drained
	defer disconnect()
	handler, err := newGateway(connected, grpcListener.Addr().String(), registry)
	if err != nil {
		return err
	}
	httpServer := &http.Server{Handler: handler, ReadHeaderTimeout: time.Minute}

	fmt.Fprintf(os.Stderr, "serving grpc=%s http=%s admin=none\n", grpcListener.Addr(), httpListener.Addr())
	serving, ctx := errgroup.WithContext(ctx)
	serving.Go(func() error { return server.Serve(grpcListener) })
	serving.Go(func() error {
		if err := httpServer.Serve(httpListener); !errors.Is(err, http.ErrServerClosed) {
			return err
		}
		return nil
	})
	<-ctx.Done()
	healthServer.Shutdown()
	// REST first, because its calls go through the gRPC server.
	ending, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownTimeout)
	defer cancel()
	err = httpServer.Shutdown(ending)
	defer context.AfterFunc(ending, server.Stop)()
	server.GracefulStop()
	return errors.Join(err, serving.Wait())
}

// startTracing sets the global tracer provider, which reads the standard OTEL variables.
func startTracing(ctx context.Context) (stop func(), err error) {
	exporter, err := otlptracehttp.New(ctx)
	if err != nil {
		return nil, err
	}
	provider := sdktrace.NewTracerProvider(sdktrace.WithBatcher(exporter))
	otel.SetTracerProvider(provider)
	otel.SetTextMapPropagator(propagation.NewCompositeTextMapPropagator(propagation.TraceContext{}, propagation.Baggage{}))
	return func() { _ = provider.Shutdown(context.WithoutCancel(ctx)) }, nil
}

func newServer(logger *slog.Logger, registry *prometheus.Registry) (*grpc.Server, error) {
	metrics := grpcprom.NewServerMetrics(grpcprom.WithServerHandlingTimeHistogram())
	registry.MustRegister(metrics)
	validator, err := protovalidate.New()
	if err != nil {
		return nil, err
	}
	return grpc.NewServer(
		grpc.StatsHandler(otelgrpc.NewServerHandler()),
		grpc.ChainUnaryInterceptor(
			metrics.UnaryServerInterceptor(),
			logging.UnaryServerInterceptor(logging.LoggerFunc(func(ctx context.Context, level logging.Level, msg string, fields ...any) {
				logger.Log(ctx, slog.Level(level), msg, fields...)
			}), logging.WithLogOnEvents(logging.FinishCall)),
			protovalidateinterceptor.UnaryServerInterceptor(validator),
			recovery.UnaryServerInterceptor(),
		),
	), nil
}

// newGateway returns the handler of REST and metrics. The gateway is a client of the gRPC
// server, as its documentation recommends: without a connection, no interceptor would run.
func newGateway(ctx context.Context, grpcAddr string, registry *prometheus.Registry) (http.Handler, error) {
	rest := runtime.NewServeMux()
	if err := gateway.RegisterTokenServiceHandlerFromEndpoint(ctx, rest, grpcAddr, []grpc.DialOption{
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithStatsHandler(otelgrpc.NewClientHandler()), // so that the trace continues
	}); err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	mux.Handle("/", otelhttp.NewHandler(rest, "rest"))
	mux.Handle("/metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{}))
	return mux, nil
}

// answer is what the service uses of SlashID's answer.
type answer struct {
	status        int
	correlationID string
}

type service struct {
	quashv1.UnimplementedTokenServiceServer

	url     string
	client  *retryablehttp.Client
	breaker *gobreaker.CircuitBreaker[answer]
}

// newService returns a service that calls SlashID through retryablehttp and gobreaker.
// retryablehttp is more usual for HTTP than cenkalti/backoff: it repeats bodies, knows which
// errors and statuses to retry, and follows Retry-After, which backoff leaves to its users.
//
// The transport is the one of the other contenders. Those of net/http and of retryablehttp keep
// fewer idle connections than the benchmark has workers, and would open many more.
func newService(url string, transport *http.Transport, logger *slog.Logger, registry *prometheus.Registry) (*service, error) {
	exporter, err := otelprom.New(otelprom.WithRegisterer(registry))
	if err != nil {
		return nil, err
	}
	// Only for requests to SlashID: grpcprom has the metrics of the server.
	meters := sdkmetric.NewMeterProvider(sdkmetric.WithReader(exporter))
	client := retryablehttp.NewClient()
	client.Logger = logger
	client.HTTPClient = &http.Client{Transport: otelhttp.NewTransport(transport, otelhttp.WithMeterProvider(meters))}
	client.ErrorHandler = retryablehttp.PassthroughErrorHandler // otherwise the last status is lost
	return &service{
		url:     url + calls.DropInPath,
		client:  client,
		breaker: gobreaker.NewCircuitBreaker[answer](gobreaker.Settings{Name: "slashid"}),
	}, nil
}

// statusCodes are the codes for SlashID's statuses.
var statusCodes = map[int]codes.Code{
	http.StatusBadRequest:      codes.InvalidArgument,
	http.StatusRequestTimeout:  codes.DeadlineExceeded,
	http.StatusTooManyRequests: codes.ResourceExhausted,
}

// statusError is an answer of SlashID that is an error. The breaker counts those from 500.
type statusError int

func (s statusError) Error() string { return fmt.Sprintf("SlashID answered %d", int(s)) }

func (s *service) newRequest(ctx context.Context, req *quashv1.RevokeRequest) (*retryablehttp.Request, error) {
	body, err := json.Marshal(struct {
		Token string `json:"token"`
	}{req.GetToken()})
	if err != nil {
		return nil, err
	}
	r, err := retryablehttp.NewRequestWithContext(ctx, http.MethodPost, s.url, body)
	if err != nil {
		return nil, err
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Slashid-Api-Key", apiKey)
	if req.GetConsistency() == quashv1.Consistency_CONSISTENCY_ALL_REGIONS {
		r.Header.Set(consistencyHeader, "all_regions")
	}
	if timeout := req.GetTimeout(); timeout != nil {
		r.Header.Set(timeoutHeader, strconv.FormatInt(timeout.GetSeconds(), 10))
	}
	return r, nil
}

// Revoke makes a request with retries.
func (s *service) Revoke(ctx context.Context, req *quashv1.RevokeRequest) (*quashv1.RevokeResponse, error) {
	r, err := s.newRequest(ctx, req)
	if err != nil {
		return nil, status.Error(codes.Internal, "the request cannot be made")
	}
	a, err := s.breaker.Execute(func() (answer, error) {
		resp, err := s.client.Do(r)
		if err != nil {
			return answer{}, err
		}
		defer resp.Body.Close()
		_, _ = io.Copy(io.Discard, resp.Body) // so that the connection can be reused
		if resp.StatusCode >= http.StatusInternalServerError {
			return answer{}, statusError(resp.StatusCode)
		}
		return answer{resp.StatusCode, resp.Header.Get(correlationHeader)}, nil
	})
	if err != nil {
		if ctx.Err() != nil {
			return nil, status.FromContextError(ctx.Err()).Err()
		}
		return nil, status.Error(codes.Unavailable, err.Error())
	}
	switch {
	case a.status == http.StatusNoContent:
		return &quashv1.RevokeResponse{
			Outcome:       quashv1.Outcome_OUTCOME_REVOKED,
			Consistency:   cmp.Or(req.GetConsistency(), quashv1.Consistency_CONSISTENCY_LOCAL_REGION),
			CorrelationId: a.correlationID,
		}, nil
	case a.status == http.StatusBadRequest && req.GetAllowInvalid():
		return &quashv1.RevokeResponse{Outcome: quashv1.Outcome_OUTCOME_ALREADY_INVALID}, nil
	}
	return nil, status.Error(cmp.Or(statusCodes[a.status], codes.Unknown), statusError(a.status).Error())
}

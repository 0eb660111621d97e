package client

import (
	"crypto/tls"
	"errors"

	"go.opentelemetry.io/contrib/instrumentation/google.golang.org/grpc/otelgrpc"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/stats"

	quashv1 "github.com/quashdev/quash/gen/quash/v1"
)

// Option changes a default of New.
type Option func(*settings)

type settings struct {
	plaintext bool
	tls       *TLSFiles
	attempts  int
	telemetry []otelgrpc.Option
	dial      []grpc.DialOption
}

// WithInsecure speaks plaintext: tokens can be read on the way. For loopback, or a mesh
// that encrypts.
func WithInsecure() Option { return func(s *settings) { s.plaintext = true } }

// WithTLS speaks TLS with what is in the files. They are read again for each
// connection, so that they can be replaced while the program runs; while they cannot be
// used, the last ones that could are.
func WithTLS(files TLSFiles) Option { return func(s *settings) { s.tls = &files } }

// WithAttempts is how often a call may ask quash: 3 unless it says otherwise, also where
// n is 0; 1 for a caller that repeats calls itself. gRPC's own setting of that,
// grpc.WithMaxCallAttempts, does nothing here.
func WithAttempts(n int) Option { return func(s *settings) { s.attempts = n } }

// WithTracerProvider traces calls with p, and not with OpenTelemetry's global provider.
func WithTracerProvider(p trace.TracerProvider) Option {
	return withTelemetry(otelgrpc.WithTracerProvider(p))
}

// WithMeterProvider measures calls with p, and not with OpenTelemetry's global provider.
func WithMeterProvider(p metric.MeterProvider) Option {
	return withTelemetry(otelgrpc.WithMeterProvider(p))
}

// WithPropagator passes the trace to quash with p, and not with OpenTelemetry's global propagator.
func WithPropagator(p propagation.TextMapPropagator) Option {
	return withTelemetry(otelgrpc.WithPropagators(p))
}

// withTelemetry is not exported, for otelgrpc's own types are those of a version 0.
func withTelemetry(opt otelgrpc.Option) Option {
	return func(s *settings) { s.telemetry = append(s.telemetry, opt) }
}

// WithDialOptions gives options to gRPC. They come after those of the client, and win.
func WithDialOptions(opts ...grpc.DialOption) Option {
	return func(s *settings) { s.dial = append(s.dial, opts...) }
}

func (s *settings) credentials() (credentials.TransportCredentials, error) {
	switch {
	case s.plaintext && s.tls != nil:
		return nil, errors.New("WithInsecure and WithTLS contradict each other")
	case s.plaintext:
		return insecure.NewCredentials(), nil
	case s.tls != nil:
		return newReloading(*s.tls)
	default:
		return credentials.NewTLS(&tls.Config{MinVersion: tls.VersionTLS12}), nil
	}
}

// telemetryHandler leaves out the watching of health, which lasts as long as the
// connection.
func (s *settings) telemetryHandler() stats.Handler {
	revoking := otelgrpc.WithFilter(func(info *stats.RPCTagInfo) bool {
		return info.FullMethodName == quashv1.TokenService_Revoke_FullMethodName
	})
	return otelgrpc.NewClientHandler(append([]otelgrpc.Option{revoking}, s.telemetry...)...)
}

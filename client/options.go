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

// Option is an option of New.
type Option func(*settings)

type settings struct {
	plaintext bool
	tls       *TLSFiles
	attempts  int
	telemetry []otelgrpc.Option
	dial      []grpc.DialOption
}

// WithInsecure disables TLS, so that the network can read the tokens. Use it only on loopback,
// or in a service mesh that encrypts.
func WithInsecure() Option { return func(s *settings) { s.plaintext = true } }

// WithTLS uses TLS with the given files. The client reads them for each connection, so you can
// replace them while the program runs. If they cannot be used, the client continues with
// the last files that it could use.
func WithTLS(files TLSFiles) Option { return func(s *settings) { s.tls = &files } }

// WithAttempts sets the maximum number of attempts of a call. The default, also for 0, is 3.
// Use 1 if the program retries calls itself. grpc.WithMaxCallAttempts has no effect.
func WithAttempts(n int) Option { return func(s *settings) { s.attempts = n } }

// WithTracerProvider traces calls with p instead of OpenTelemetry's global provider.
func WithTracerProvider(p trace.TracerProvider) Option {
	return withTelemetry(otelgrpc.WithTracerProvider(p))
}

// WithMeterProvider measures calls with p instead of OpenTelemetry's global provider.
func WithMeterProvider(p metric.MeterProvider) Option {
	return withTelemetry(otelgrpc.WithMeterProvider(p))
}

// WithPropagator sends the trace context with p instead of OpenTelemetry's global propagator.
func WithPropagator(p propagation.TextMapPropagator) Option {
	return withTelemetry(otelgrpc.WithPropagators(p))
}

// withTelemetry is not exported, because otelgrpc is at version 0 and its types can change.
func withTelemetry(opt otelgrpc.Option) Option {
	return func(s *settings) { s.telemetry = append(s.telemetry, opt) }
}

// WithDialOptions adds gRPC dial options. They override those of the client.
func WithDialOptions(opts ...grpc.DialOption) Option {
	return func(s *settings) { s.dial = append(s.dial, opts...) }
}

func (s *settings) credentials() (credentials.TransportCredentials, error) {
	switch {
	case s.plaintext && s.tls != nil:
		return nil, errors.New("WithInsecure and WithTLS exclude each other")
	case s.plaintext:
		return insecure.NewCredentials(), nil
	case s.tls != nil:
		return newReloading(*s.tls)
	default:
		return credentials.NewTLS(&tls.Config{MinVersion: tls.VersionTLS12}), nil
	}
}

// telemetryHandler ignores the health streams, which last as long as their connection.
func (s *settings) telemetryHandler() stats.Handler {
	revoking := otelgrpc.WithFilter(func(info *stats.RPCTagInfo) bool {
		return info.FullMethodName == quashv1.TokenService_Revoke_FullMethodName
	})
	return otelgrpc.NewClientHandler(append([]otelgrpc.Option{revoking}, s.telemetry...)...)
}

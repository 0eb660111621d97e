package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	gateway "github.com/quashdev/quash/gen/gateway/quash/v1"
	"github.com/quashdev/quash/internal/telemetry"
	"github.com/quashdev/quash/service"
	"github.com/quashdev/quash/service/slashid"
)

// forwardedHeaders are the request headers that become metadata of the call, and
// all that do: anything else a client sends, grpc-timeout and grpc-metadata-*
// included, ends at the listener.
var forwardedHeaders = []string{
	slashid.HeaderConsistency,
	slashid.HeaderConsistencyTimeout,
	slashid.HeaderSDKVersion,
	slashid.HeaderAPIKey,
	slashid.HeaderOrgID,
	slashid.HeaderAuthorization,
	telemetry.Header,
}

// door is one of the two REST forms of the RPC.
type door struct {
	// name is what it is called in logs and metrics.
	name, path string
	mux        *runtime.ServeMux
	// admit refuses requests by their headers alone; nil admits all.
	admit  func(*http.Request) *refusal
	limits Limits
	// arriving bounds the requests that are on their way in.
	arriving *arrivals
	observer *observer
	// tooLarge is the HTTP status for a body over Limits.RequestBytes.
	tooLarge int
	// fail writes an error in the door's own form.
	fail func(w http.ResponseWriter, httpStatus int, st *status.Status)
	// statusOf is the door's HTTP status for an error of the RPC.
	statusOf func(*status.Status) int
}

// refusal is an error that HTTP has a status of its own for.
type refusal struct {
	httpStatus int
	err        *service.Error
}

// newREST builds the handler of the REST listener.
func newREST(ctx context.Context, cfg Config, arriving *arrivals, observer *observer) (http.Handler, error) {
	client := newInProcess(cfg.Service, interceptors(cfg, observer), observer.calls)
	doors := map[string]*door{}
	for _, d := range []*door{newNative(), newDropIn()} {
		d.limits, d.arriving, d.observer = cfg.Limits, arriving, observer
		// Each door has a gateway of its own, since the manners of a gateway hold
		// for all of its routes; only the door's own path is ever asked of it.
		if err := gateway.RegisterTokenServiceHandlerClient(ctx, d.mux, client); err != nil {
			return nil, fmt.Errorf("register the REST route %s: %w", d.path, err)
		}
		doors[d.path] = d
	}
	elsewhere := doors[nativePath]
	pages, err := newPages(cfg.Docs)
	if err != nil {
		return nil, err
	}
	atDoors := withCORS(cfg.CORSAllowedOrigins, func(w http.ResponseWriter, r *http.Request) {
		begun := time.Now()
		d, ok := doors[r.URL.Path]
		if !ok {
			elsewhere.answer(w, begun, &refusal{http.StatusNotFound, service.InvalidRequest(service.Violation{
				Field:       "path",
				Description: fmt.Sprintf("must be %s or %s", nativePath, dropInPath),
			})})
			return
		}
		ctx := withCaller(r.Context(), r, d.name)
		if refused := d.serve(ctx, w, r, begun); refused != nil {
			d.refuse(ctx, w, begun, refused)
		}
	})
	return recoverREST(cfg.Logger, func(w http.ResponseWriter, r *http.Request) {
		begun := time.Now()
		w.Header().Set("X-Content-Type-Options", "nosniff")
		// Until the body is there; see readBody.
		_ = http.NewResponseController(w).SetReadDeadline(begun.Add(cfg.Limits.TransferTimeout))
		p, isPage := pages[r.URL.Path]
		if isPage || r.Header.Get("Origin") != "" {
			letBrowserGo(w, r)
		}
		if !isPage {
			atDoors(w, r)
			return
		}
		if refused := p.serve(w, r); refused != nil {
			elsewhere.answer(w, begun, refused)
		}
	}), nil
}

// recoverREST logs a panic without its value, which net/http would print. It is
// too late for an answer then, perhaps in the middle of one.
func recoverREST(logger *slog.Logger, h http.HandlerFunc) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx := r.Context()
		defer func() {
			if value := recover(); value != nil {
				service.LogPanic(ctx, logger, "the REST listener", value)
				panic(http.ErrAbortHandler)
			}
		}()
		h(w, r)
	})
}

// newMux returns a gateway for d that reads with the given marshaler and answers
// errors as d does.
func (d *door) newMux(marshaler runtime.Marshaler, options ...runtime.ServeMuxOption) *runtime.ServeMux {
	drop := func(string) (string, bool) { return "", false }
	return runtime.NewServeMux(append(options,
		runtime.WithMarshalerOption(runtime.MIMEWildcard, marshaler),
		runtime.WithErrorHandler(d.handleError),
		runtime.WithOutgoingHeaderMatcher(drop),
		runtime.WithOutgoingTrailerMatcher(drop),
		runtime.WithDisablePathLengthFallback(),
	)...)
}

// serve hands a request on to the gateway, or says why not. ctx is for the call.
func (d *door) serve(ctx context.Context, w http.ResponseWriter, r *http.Request, begun time.Time) *refusal {
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		return &refusal{http.StatusMethodNotAllowed, service.InvalidRequest(service.Violation{
			Field:       "method",
			Description: "must be POST",
		})}
	}
	if d.admit != nil {
		if refused := d.admit(r); refused != nil {
			return refused
		}
	}
	md, violations := forwardable(r.Header)
	if len(violations) > 0 {
		return &refusal{http.StatusBadRequest, service.InvalidRequest(violations...)}
	}
	body, err := d.readBody(w, r)
	if err != nil {
		return d.unread(err)
	}
	body.begun = begun
	inner := r.WithContext(metadata.NewIncomingContext(ctx, md))
	inner.Body = body
	// What the gateway would make metadata of is there already, or stays outside.
	inner.Header, inner.Host, inner.RemoteAddr = nil, "", ""
	d.mux.ServeHTTP(w, inner)
	return nil
}

// unread is the answer to a body that could not be read whole.
func (d *door) unread(err error) *refusal {
	if errors.Is(err, errBodyTooLarge) {
		return &refusal{d.tooLarge, service.InvalidRequest(service.Violation{
			Field:       bodyField,
			Description: fmt.Sprintf("must be at most %d bytes", d.limits.RequestBytes),
		})}
	}
	if errors.Is(err, errCrowdedOut) {
		return &refusal{http.StatusTooManyRequests, service.Overloaded()}
	}
	return &refusal{http.StatusBadRequest, service.InvalidRequest(service.Violation{
		Field:       bodyField,
		Description: fmt.Sprintf("did not arrive whole within %s", d.limits.TransferTimeout),
	})}
}

// forwardable returns the headers that become metadata, nil where there are none. A
// value that metadata cannot hold is no reason to forget silently what a caller asked for.
func forwardable(all http.Header) (metadata.MD, []service.Violation) {
	var md metadata.MD
	var violations []service.Violation
	for _, name := range forwardedHeaders {
		values := all[name]
		if len(values) == 0 {
			continue
		}
		if name == telemetry.Header && slices.ContainsFunc(values, isUnprintable) {
			continue // a trace that is lost is no reason to refuse a revocation
		}
		key := strings.ToLower(name)
		for _, value := range values {
			if isUnprintable(value) {
				violations = append(violations, service.Violation{Field: key, Description: "must be printable ASCII"})
			}
		}
		if md == nil {
			md = metadata.MD{}
		}
		md[key] = values
	}
	return md, violations
}

func isUnprintable(value string) bool { return strings.ContainsFunc(value, unprintable) }

func unprintable(r rune) bool { return r < ' ' || r > '~' }

// refuse answers a request that is not going to be a call.
func (d *door) refuse(ctx context.Context, w http.ResponseWriter, begun time.Time, refused *refusal) {
	d.answer(w, begun, refused)
	d.observer.failed(ctx, refused.err)
}

func (d *door) answer(w http.ResponseWriter, begun time.Time, refused *refusal) {
	refused.err.TookSince(begun)
	d.fail(w, refused.httpStatus, refused.err.GRPCStatus())
}

// handleError answers an error that comes out of the gateway: the RPC's, or its
// own when the body could not be decoded.
func (d *door) handleError(
	ctx context.Context, _ *runtime.ServeMux, _ runtime.Marshaler, w http.ResponseWriter, r *http.Request, err error,
) {
	if body, ok := r.Body.(*requestBody); ok && len(body.violations) > 0 {
		d.refuse(ctx, w, body.begun, &refusal{http.StatusBadRequest, service.InvalidRequest(body.violations...)})
		return
	}
	st := status.Convert(err)
	if errorInfo(st) == nil {
		// The service gives a reason, so this is the gateway's: the client has gone,
		// or something that cannot be.
		st = service.Internal(err).GRPCStatus()
	}
	d.fail(w, d.statusOf(st), st)
}

// describe sets the headers that both doors say of an error.
func describe(h http.Header, st *status.Status) {
	h.Del("Trailer")
	if info := detail[*errdetails.RequestInfo](st); info != nil {
		h.Set(slashid.HeaderCorrelationID, info.GetRequestId())
	}
	if retry := detail[*errdetails.RetryInfo](st); retry != nil {
		seconds := math.Ceil(retry.GetRetryDelay().AsDuration().Seconds())
		h.Set("Retry-After", strconv.FormatFloat(seconds, 'f', 0, 64))
	}
}

func errorInfo(st *status.Status) *errdetails.ErrorInfo {
	return detail[*errdetails.ErrorInfo](st)
}

// detail returns the first detail of a type, or that type's nil.
func detail[T any](st *status.Status) (found T) {
	for _, d := range st.Details() {
		if d, ok := d.(T); ok {
			return d
		}
	}
	return found
}

// newHTTPServer returns a server for h. It has no timeout for reading a whole
// request, because that one ends waiting calls; newREST sets its own.
func newHTTPServer(h http.Handler, limits Limits, logger *slog.Logger) *http.Server {
	s := &http.Server{
		Handler:           h,
		ReadHeaderTimeout: limits.HeaderTimeout,
		// From the header on: a request takes that long before its answer is there.
		WriteTimeout:   limits.TransferTimeout + service.LongestCall + limits.TransferTimeout,
		IdleTimeout:    limits.IdleTimeout,
		MaxHeaderBytes: limits.HeaderBytes,
		HTTP2: &http.HTTP2Config{
			MaxConcurrentStreams:          limits.StreamsPerConnection,
			MaxReceiveBufferPerStream:     receiveWindow,
			MaxReceiveBufferPerConnection: connectionWindow,
			MaxReadFrameSize:              readFrame,
			SendPingTimeout:               pingAfter,
			PingTimeout:                   pingTimeout,
			WriteByteTimeout:              limits.TransferTimeout,
		},
		ConnContext: withConnection,
		ErrorLog:    newHTTPErrorLog(logger),
	}
	closeUnusedAtShutdown(s)
	return s
}

package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	gateway "github.com/quashdev/quash/gen/gateway/quash/v1"
	quashv1 "github.com/quashdev/quash/gen/quash/v1"
	"github.com/quashdev/quash/internal/telemetry"
	"github.com/quashdev/quash/service"
	"github.com/quashdev/quash/service/slashid"
)

// forwardedHeaders are the request headers that grpc-gateway receives and turns into
// metadata. Other headers could change its behavior: Grpc-Timeout sets a deadline, Te asks
// for trailers, and an unknown Content-Type is logged.
var forwardedHeaders = []string{
	slashid.HeaderConsistency,
	slashid.HeaderConsistencyTimeout,
	slashid.HeaderSDKVersion,
	slashid.HeaderAPIKey,
	slashid.HeaderOrgID,
	slashid.HeaderAuthorization,
	telemetry.Header,
}

// metadataKey returns the metadata key for a forwarded header. It skips Authorization,
// which grpc-gateway always forwards.
func metadataKey(header string) (string, bool) {
	return strings.ToLower(header), header != slashid.HeaderAuthorization
}

// endpoint is one of the two REST endpoints: native or drop-in.
type endpoint struct {
	// name is the endpoint's name in logs and metrics.
	name, path string
	marshaler  runtime.Marshaler
	// forward completes the headers of a successful response.
	forward func(context.Context, http.ResponseWriter, proto.Message) error
	// accepts reports whether the endpoint accepts a Content-Type.
	accepts func(contentType string) bool
	// tooLarge is the HTTP status for a body over Limits.RequestBytes.
	tooLarge int
	// writeError writes an error in the endpoint's format.
	writeError func(w http.ResponseWriter, httpStatus int, st *status.Status)
	// statusOf returns the HTTP status for an error of the RPC.
	statusOf func(*status.Status) int

	mux      *runtime.ServeMux
	limits   Limits
	pending  *pending
	observer *observer
}

// newEndpoints returns the endpoints by path. Each has its own grpc-gateway mux, because
// the mux's options apply to all of its routes.
func newEndpoints(ctx context.Context, client quashv1.TokenServiceClient, limits Limits, pending *pending, observer *observer) (map[string]*endpoint, error) {
	endpoints := map[string]*endpoint{}
	for _, e := range []*endpoint{newNative(), newDropIn()} {
		drop := func(string) (string, bool) { return "", false }
		e.limits, e.pending, e.observer = limits, pending, observer
		e.mux = runtime.NewServeMux(
			runtime.WithMarshalerOption(runtime.MIMEWildcard, e.marshaler),
			runtime.WithForwardResponseOption(e.forward),
			runtime.WithErrorHandler(e.handleError),
			runtime.WithIncomingHeaderMatcher(metadataKey),
			runtime.WithOutgoingHeaderMatcher(drop),
			runtime.WithOutgoingTrailerMatcher(drop),
			runtime.WithDisablePathLengthFallback(),
		)
		if err := gateway.RegisterTokenServiceHandlerClient(ctx, e.mux, client); err != nil {
			return nil, fmt.Errorf("register the REST route %s: %w", e.path, err)
		}
		endpoints[e.path] = e
	}
	return endpoints, nil
}

// newREST builds the handler of the REST listener.
func newREST(ctx context.Context, cfg Config, pending *pending, observer *observer) (http.Handler, error) {
	client := newInProcess(cfg.Service, interceptors(cfg, observer), observer.calls)
	endpoints, err := newEndpoints(ctx, client, cfg.Limits, pending, observer)
	if err != nil {
		return nil, err
	}
	pages, err := newPages(cfg.Docs)
	if err != nil {
		return nil, err
	}
	native := endpoints[nativePath]
	api := withCORS(cfg.CORSAllowedOrigins, func(w http.ResponseWriter, r *http.Request) {
		if e, ok := endpoints[r.URL.Path]; ok {
			restCallOf(r.Context()).endpoint = e.name
			e.serve(w, r)
			return
		}
		native.answer(w, r, &refusal{http.StatusNotFound, service.InvalidRequest(service.Violation{
			Field:       "path",
			Description: fmt.Sprintf("must be %s or %s", nativePath, dropInPath),
		})})
	})
	return recoverREST(cfg.Logger, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Content-Type-Options", "nosniff")
		call := &restCall{begun: time.Now(), endpoint: endpointNative}
		r = r.WithContext(withCaller(context.WithValue(r.Context(), restCallKey{}, call), r))
		// readBody clears this deadline. If the body is not read, the deadline limits how long
		// net/http waits for the rest of it.
		_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(cfg.Limits.TransferTimeout))
		p, isPage := pages[r.URL.Path]
		if isPage || r.Header.Get("Origin") != "" {
			disableKeepAlive(w, r)
		}
		if !isPage {
			api(w, r)
			return
		}
		if refused := p.serve(w, r); refused != nil {
			native.answer(w, r, refused)
		}
	}), nil
}

// disableKeepAlive closes an HTTP/1.1 connection after the response.
//
// Chromium treats a 408 on a reused connection as an idle timeout and silently resends the
// request. The second response says that the token is already invalid, and the page never
// sees the 408, which says that the revocation is in progress.
func disableKeepAlive(w http.ResponseWriter, r *http.Request) {
	if r.ProtoMajor == 1 {
		w.Header().Set("Connection", "close")
	}
}

// recoverREST logs a panic without its value, which may contain a token; net/http would
// print it. It aborts the response, which may be partly written.
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

// serve passes a valid request to grpc-gateway and rejects others.
func (e *endpoint) serve(w http.ResponseWriter, r *http.Request) {
	header, body, refused := e.check(w, r)
	if refused != nil {
		e.refuse(w, r, refused)
		return
	}
	r.Header, r.Body = header, wholeBody{http.NoBody, body}
	r.Host, r.RemoteAddr = "", "" // grpc-gateway would make metadata of them, which nothing reads
	e.mux.ServeHTTP(w, r)
}

// refusal is an error with an HTTP status that does not follow from its gRPC code.
type refusal struct {
	httpStatus int
	err        *service.Error
}

// check returns the header and body for grpc-gateway, or the reason to reject the request.
func (e *endpoint) check(w http.ResponseWriter, r *http.Request) (http.Header, []byte, *refusal) {
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		return nil, nil, &refusal{http.StatusMethodNotAllowed, service.InvalidRequest(service.Violation{
			Field:       "method",
			Description: "must be POST",
		})}
	}
	if !e.accepts(r.Header.Get("Content-Type")) {
		return nil, nil, &refusal{http.StatusUnsupportedMediaType, service.InvalidRequest(service.Violation{
			Field:       "content-type",
			Description: "must be " + jsonType + ", in UTF-8",
		})}
	}
	header, violations := forwardable(r.Header)
	if violations != nil {
		return nil, nil, &refusal{http.StatusBadRequest, service.InvalidRequest(violations...)}
	}
	body, refused := e.readBody(w, r)
	return header, body, refused
}

// forwardable returns the headers to forward. A value that metadata cannot hold is a
// violation: grpc-gateway would drop the header, and with it what the caller asked for. An
// invalid trace header is dropped, because a lost trace must not prevent a revocation.
func forwardable(all http.Header) (forwarded http.Header, violations []service.Violation) {
	forwarded = http.Header{}
	for _, name := range forwardedHeaders {
		values := all[name]
		switch {
		case len(values) == 0:
		case !slices.ContainsFunc(values, isUnprintable):
			forwarded[name] = values
		case name != telemetry.Header:
			violations = append(violations, service.Violation{Field: strings.ToLower(name), Description: "must be printable ASCII"})
		}
	}
	return forwarded, violations
}

func isUnprintable(value string) bool { return strings.ContainsFunc(value, unprintable) }

func unprintable(r rune) bool { return r < ' ' || r > '~' }

// readBody reads the request body. After a complete body it clears the connection's read
// deadline, which would otherwise end a call that waits for its answer. After an error the
// deadline stays, because net/http reads the rest of the body before it responds.
func (e *endpoint) readBody(w http.ResponseWriter, r *http.Request) ([]byte, *refusal) {
	if !e.pending.acquire() {
		return nil, &refusal{http.StatusTooManyRequests, service.Overloaded()}
	}
	defer e.pending.release()
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, int64(e.limits.RequestBytes)))
	if err == nil {
		err = http.NewResponseController(w).SetReadDeadline(time.Time{})
	}
	if err == nil {
		return body, nil
	}
	if _, tooLarge := errors.AsType[*http.MaxBytesError](err); tooLarge {
		return nil, &refusal{e.tooLarge, service.InvalidRequest(service.Violation{
			Field:       bodyField,
			Description: fmt.Sprintf("must be at most %d bytes", e.limits.RequestBytes),
		})}
	}
	rule := "must be complete and valid HTTP"
	if errors.Is(err, os.ErrDeadlineExceeded) {
		e.pending.rejected.Add(1)
		rule = fmt.Sprintf("must arrive completely within %s", e.limits.TransferTimeout)
	}
	return nil, &refusal{http.StatusBadRequest, service.InvalidRequest(service.Violation{Field: bodyField, Description: rule})}
}

// restCall is what the context of a REST request holds about it.
type restCall struct {
	begun    time.Time
	endpoint string
}

type restCallKey struct{}

// restCallOf returns nil for a gRPC call.
func restCallOf(ctx context.Context) *restCall {
	call, _ := ctx.Value(restCallKey{}).(*restCall)
	return call
}

// refuse answers a request that does not reach the service, and logs and counts it.
func (e *endpoint) refuse(w http.ResponseWriter, r *http.Request, refused *refusal) {
	e.answer(w, r, refused)
	e.observer.failed(r.Context(), refused.err)
}

func (e *endpoint) answer(w http.ResponseWriter, r *http.Request, refused *refusal) {
	refused.err.TookSince(restCallOf(r.Context()).begun)
	e.writeStatus(w, refused.httpStatus, refused.err.GRPCStatus())
}

// handleError is grpc-gateway's error handler, for errors of the RPC and for the gateway's
// own error when it cannot decode the body.
func (e *endpoint) handleError(
	_ context.Context, _ *runtime.ServeMux, _ runtime.Marshaler, w http.ResponseWriter, r *http.Request, err error,
) {
	st := status.Convert(err)
	switch {
	case errorInfo(st) != nil: // an error of the service
	case st.Code() == codes.InvalidArgument:
		e.refuse(w, r, &refusal{http.StatusBadRequest, decodingError(st.Message())})
		return
	default: // the client disconnected, or a defect
		st = service.Internal(err).GRPCStatus()
	}
	e.writeStatus(w, e.statusOf(st), st)
}

// writeStatus writes an error, with the headers that both endpoints share.
func (e *endpoint) writeStatus(w http.ResponseWriter, httpStatus int, st *status.Status) {
	w.Header().Del("Trailer")
	if info := detail[*errdetails.RequestInfo](st); info != nil {
		w.Header().Set(slashid.HeaderCorrelationID, info.GetRequestId())
	}
	if retry := detail[*errdetails.RetryInfo](st); retry != nil {
		seconds := math.Ceil(retry.GetRetryDelay().AsDuration().Seconds())
		w.Header().Set("Retry-After", strconv.FormatFloat(seconds, 'f', 0, 64))
	}
	e.writeError(w, httpStatus, st)
}

// writeJSON writes a marshaled body. err is the marshaling error, which occurs only if the
// type of a status detail is not linked in; all of quash's types are.
func writeJSON(w http.ResponseWriter, httpStatus int, body []byte, err error) {
	if err != nil {
		http.Error(w, http.StatusText(http.StatusInternalServerError), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", jsonType)
	w.WriteHeader(httpStatus)
	_, _ = w.Write(body)
}

func errorInfo(st *status.Status) *errdetails.ErrorInfo {
	return detail[*errdetails.ErrorInfo](st)
}

// detail returns the first detail of type T, or nil.
func detail[T any](st *status.Status) (found T) {
	for _, d := range st.Details() {
		if d, ok := d.(T); ok {
			return d
		}
	}
	return found
}

// newHTTPServer returns a server for h. It sets no ReadTimeout, which would end calls that
// wait for their answer; newREST sets a read deadline instead.
func newHTTPServer(h http.Handler, limits Limits, logger *slog.Logger) *http.Server {
	s := &http.Server{
		Handler:           h,
		ReadHeaderTimeout: limits.HeaderTimeout,
		// It starts after the request header: receiving the body, the call, the response.
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
		ConnContext: withConnBegun,
		ErrorLog:    newHTTPErrorLog(logger),
	}
	closeNewConnsOnShutdown(s)
	return s
}

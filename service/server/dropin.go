package server

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strings"

	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	quashv1 "github.com/quashdev/quash/gen/quash/v1"
)

const dropInPath = "/token/revoke"

// The drop-in endpoint sends ErrorInfo.reason and RevokeFailure.state in these headers,
// because SlashID's envelope has no field for them.
const (
	headerReason = "Quash-Error-Reason"
	headerState  = "Quash-Revocation-State"
)

// newDropIn returns the endpoint with SlashID's contract: parameters in headers, 204 on
// success, errors in SlashID's envelope.
func newDropIn() *endpoint {
	return &endpoint{
		name:       endpointDropIn,
		path:       dropInPath,
		marshaler:  &dropInMarshaler{},
		forward:    forwardDropIn,
		accepts:    func(string) bool { return true }, // SlashID accepts any
		tooLarge:   http.StatusBadRequest,
		writeError: writeDropInError,
		statusOf:   dropInStatus,
	}
}

// dropInMarshaler reads SlashID's request body. A successful response has no body.
type dropInMarshaler struct{ runtime.JSONPb }

func (dropInMarshaler) NewDecoder(r io.Reader) runtime.Decoder { return strictDecoder(r, decodeDropIn) }

func (dropInMarshaler) Marshal(any) ([]byte, error) { return nil, nil }

func forwardDropIn(ctx context.Context, w http.ResponseWriter, resp proto.Message) error {
	_ = forwardNative(ctx, w, resp)
	w.Header().Del("Content-Type")
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// dropInStatus returns only statuses that clients of SlashID know. They read 408 as
// "SlashID will complete the revocation", so 408 must not mean anything else.
func dropInStatus(st *status.Status) int {
	failure := detail[*quashv1.RevokeFailure](st)
	switch st.Code() {
	case codes.InvalidArgument:
		return http.StatusBadRequest
	case codes.Unauthenticated:
		return http.StatusUnauthorized
	case codes.PermissionDenied:
		return http.StatusForbidden
	case codes.ResourceExhausted:
		return http.StatusTooManyRequests
	case codes.DeadlineExceeded:
		if failure.GetState() == quashv1.RevocationState_REVOCATION_STATE_IN_PROGRESS {
			return http.StatusRequestTimeout
		}
		return http.StatusServiceUnavailable
	case codes.Unavailable, codes.Canceled:
		return http.StatusServiceUnavailable
	default:
		return http.StatusInternalServerError
	}
}

// envelope is SlashID's error format.
type envelope struct {
	Meta struct {
		Pagination struct {
			Limit      int `json:"limit"`
			Offset     int `json:"offset"`
			TotalCount int `json:"total_count"`
		} `json:"pagination"`
	} `json:"meta"`
	Errors []envelopeError `json:"errors"`
}

type envelopeError struct {
	HTTPCode int    `json:"httpcode"`
	Message  string `json:"message"`
}

func writeDropInError(w http.ResponseWriter, httpStatus int, st *status.Status) {
	if info := errorInfo(st); info != nil {
		w.Header().Set(headerReason, info.GetReason())
	}
	if failure := detail[*quashv1.RevokeFailure](st); failure != nil {
		w.Header().Set(headerState, strings.TrimPrefix(failure.GetState().String(), "REVOCATION_STATE_"))
	}
	if httpStatus == http.StatusRequestTimeout {
		// OkHttp resends a POST after a 408 unless this is above 0, and its caller would
		// see 400 for a token that it has revoked (docs/callers.md).
		w.Header().Set("Retry-After", "1")
	}
	var e envelope
	for _, v := range detail[*errdetails.BadRequest](st).GetFieldViolations() {
		e.Errors = append(e.Errors, envelopeError{httpStatus, v.GetField() + ": " + v.GetDescription()})
	}
	if len(e.Errors) == 0 {
		e.Errors = []envelopeError{{httpStatus, st.Message()}}
	}
	body, err := json.Marshal(e)
	writeJSON(w, httpStatus, body, err)
}

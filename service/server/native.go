package server

import (
	"context"
	"io"
	"mime"
	"net/http"
	"strings"

	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	quashv1 "github.com/quashdev/quash/gen/quash/v1"
	"github.com/quashdev/quash/service/slashid"
)

const (
	nativePath = "/v1/tokens:revoke"
	jsonType   = "application/json"
)

// newNative returns the native endpoint: messages as JSON, errors as google.rpc.Status.
func newNative() *endpoint {
	return &endpoint{
		name:       endpointNative,
		path:       nativePath,
		marshaler:  &nativeMarshaler{},
		forward:    forwardNative,
		accepts:    isJSON,
		tooLarge:   http.StatusRequestEntityTooLarge,
		writeError: writeNativeError,
		statusOf:   func(st *status.Status) int { return runtime.HTTPStatusFromCode(st.Code()) },
	}
}

// isJSON reports whether a Content-Type is JSON in UTF-8. Requiring it also rejects HTML
// forms, which browsers send without a preflight.
func isJSON(contentType string) bool {
	mediaType, params, err := mime.ParseMediaType(contentType)
	charset := params["charset"]
	return err == nil && mediaType == jsonType && (charset == "" || strings.EqualFold(charset, "utf-8"))
}

// nativeMarshaler is grpc-gateway's JSON marshaler with a strict decoder.
type nativeMarshaler struct{ runtime.JSONPb }

func (nativeMarshaler) NewDecoder(r io.Reader) runtime.Decoder { return strictDecoder(r, decodeNative) }

// forwardNative sets the header with SlashID's correlation id.
func forwardNative(_ context.Context, w http.ResponseWriter, resp proto.Message) error {
	if resp, ok := resp.(*quashv1.RevokeResponse); ok && resp.GetCorrelationId() != "" {
		w.Header().Set(slashid.HeaderCorrelationID, resp.GetCorrelationId())
	}
	return nil
}

func writeNativeError(w http.ResponseWriter, httpStatus int, st *status.Status) {
	body, err := protojson.Marshal(st.Proto()) //nolint:forbidigo // the status is meant for the client
	writeJSON(w, httpStatus, body, err)
}

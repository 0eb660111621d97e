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

// newNative is the endpoint of quash's own REST form: the messages as JSON, errors as
// google.rpc.Status.
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

// isJSON reports whether a request says that its body is JSON. That also keeps forms of
// pages in browsers out.
func isJSON(contentType string) bool {
	mediaType, params, err := mime.ParseMediaType(contentType)
	charset := params["charset"]
	return err == nil && mediaType == jsonType && (charset == "" || strings.EqualFold(charset, "utf-8"))
}

// nativeMarshaler is grpc-gateway's for JSON, but strict in what it reads.
type nativeMarshaler struct{ runtime.JSONPb }

func (nativeMarshaler) NewDecoder(r io.Reader) runtime.Decoder { return strictDecoder(r, decodeNative) }

// forwardNative gives a success the header in which SlashID names its request.
func forwardNative(_ context.Context, w http.ResponseWriter, resp proto.Message) error {
	if resp, ok := resp.(*quashv1.RevokeResponse); ok && resp.GetCorrelationId() != "" {
		w.Header().Set(slashid.HeaderCorrelationID, resp.GetCorrelationId())
	}
	return nil
}

func writeNativeError(w http.ResponseWriter, httpStatus int, st *status.Status) {
	body, err := protojson.Marshal(st.Proto()) //nolint:forbidigo // what it says was made to be sent
	writeJSON(w, httpStatus, body, err)
}

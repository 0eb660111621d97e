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
	"github.com/quashdev/quash/service"
	"github.com/quashdev/quash/service/slashid"
)

const (
	nativePath = "/v1/tokens:revoke"
	jsonType   = "application/json"
)

// newNative is the door of quash's own REST form: the messages as JSON, errors as
// google.rpc.Status.
func newNative() *door {
	d := &door{
		name:     doorNative,
		path:     nativePath,
		admit:    admitJSON,
		tooLarge: http.StatusRequestEntityTooLarge,
		fail:     failNative,
		statusOf: func(st *status.Status) int { return runtime.HTTPStatusFromCode(st.Code()) },
	}
	d.mux = d.newMux(&nativeMarshaler{}, runtime.WithForwardResponseOption(nameRequest))
	return d
}

func admitJSON(r *http.Request) *refusal {
	if r.Header.Get("Content-Type") == jsonType { // as most send it
		return nil
	}
	mediaType, params, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	charset := params["charset"]
	if err == nil && mediaType == jsonType && (charset == "" || strings.EqualFold(charset, "utf-8")) {
		return nil
	}
	return &refusal{http.StatusUnsupportedMediaType, service.InvalidRequest(service.Violation{
		Field:       "content-type",
		Description: "must be " + jsonType + ", in UTF-8",
	})}
}

// nativeMarshaler is grpc-gateway's for JSON, but strict in what it reads.
type nativeMarshaler struct{ runtime.JSONPb }

func (*nativeMarshaler) NewDecoder(r io.Reader) runtime.Decoder {
	return runtime.DecoderFunc(decodeWith(r, decodeMessage))
}

// Marshal writes what protojson would, without its reflection where that can be.
func (m *nativeMarshaler) Marshal(v any) ([]byte, error) {
	if resp, ok := v.(*quashv1.RevokeResponse); ok {
		if text, ok := plainAnswer(resp); ok {
			return text, nil
		}
	}
	return m.JSONPb.Marshal(v)
}

// plainAnswer returns the JSON form of an answer in which there is nothing to escape, and
// nothing that has no name. Any other is for protojson.
func plainAnswer(resp *quashv1.RevokeResponse) ([]byte, bool) {
	text := append(make([]byte, 0, plainAnswerBytes), '{')
	for _, member := range []struct {
		name, value string
		unset       bool
	}{
		{"outcome", quashv1.Outcome_name[int32(resp.GetOutcome())], resp.GetOutcome() == 0},
		{"consistency", quashv1.Consistency_name[int32(resp.GetConsistency())], resp.GetConsistency() == 0},
		{"correlationId", resp.GetCorrelationId(), resp.GetCorrelationId() == ""},
	} {
		if member.unset {
			continue
		}
		if member.value == "" || strings.ContainsFunc(member.value, mayNeedEscape) {
			return nil, false
		}
		if len(text) > len("{") {
			text = append(text, ',')
		}
		text = append(text, '"')
		text = append(text, member.name...)
		text = append(text, `":"`...)
		text = append(text, member.value...)
		text = append(text, '"')
	}
	return append(text, '}'), true
}

// plainAnswerBytes is room for an answer whose correlation id is a UUID.
const plainAnswerBytes = 160

// mayNeedEscape holds for what JSON has to escape, and for more.
func mayNeedEscape(r rune) bool { return unprintable(r) || r == '"' || r == '\\' }

// nameRequest gives a success the header in which SlashID names its request.
func nameRequest(_ context.Context, w http.ResponseWriter, resp proto.Message) error {
	if resp, ok := resp.(*quashv1.RevokeResponse); ok && resp.GetCorrelationId() != "" {
		w.Header().Set(slashid.HeaderCorrelationID, resp.GetCorrelationId())
	}
	return nil
}

func failNative(w http.ResponseWriter, httpStatus int, st *status.Status) {
	describe(w.Header(), st)
	body, err := protojson.Marshal(st.Proto()) //nolint:forbidigo // what it says was made to be sent
	if err != nil {
		// A detail of a type that is not linked in; ours all are.
		http.Error(w, http.StatusText(http.StatusInternalServerError), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", jsonType)
	w.WriteHeader(httpStatus)
	_, _ = w.Write(body)
}

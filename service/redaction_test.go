package service

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	quashv1 "github.com/quashdev/quash/gen/quash/v1"
	"github.com/quashdev/quash/internal/secrettest"
)

// RevokeRequest has generated methods that keep its token from being printed
// (tools/protoc-gen-go-redact). They are tested here, because this package receives requests.

var redactionToken = secrettest.Spiked("eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJwZXJzb24tMSJ9.c2lnbmVkLWluLWEtdGVzdA")

// requestWithToken returns a request with the token in its field and in unknown fields.
func requestWithToken() *quashv1.RevokeRequest {
	req := &quashv1.RevokeRequest{
		Token:        redactionToken,
		Consistency:  quashv1.Consistency_CONSISTENCY_ALL_REGIONS,
		Timeout:      durationpb.New(5 * time.Second),
		AllowInvalid: true,
	}
	unknown := protowire.AppendString(protowire.AppendTag(nil, 1000, protowire.BytesType), redactionToken)
	req.ProtoReflect().SetUnknown(unknown)
	req.GetTimeout().ProtoReflect().SetUnknown(unknown)
	return req
}

// No way to print, log or encode a request, or a value that contains one, reveals a part of the
// token in any encoding.
func TestRequestIsNotPrinted(t *testing.T) {
	t.Parallel()
	req := requestWithToken()
	type embedding struct{ *quashv1.RevokeRequest }
	type hiding struct { // package fmt prints an address here and calls no method
		pointer *quashv1.RevokeRequest
		value   any
	}
	for _, holder := range []any{
		req, &req, fmt.Errorf("revoke %v", req),
		embedding{req},
		&embedding{req},
		hiding{req, req},
		&hiding{req, req},
		[]*quashv1.RevokeRequest{req},
		[]any{req},
		map[string]proto.Message{"request": req},
		map[*quashv1.RevokeRequest]string{req: "request"},
	} {
		var out bytes.Buffer
		verbs := []string{"%v", "%+v", "%#v", "%p", "%b", "%d", "%x", "%#x", "% x", "%X", "%060d"}
		if !strings.Contains(fmt.Sprintf("%T", holder), "hiding") { // go vet rejects other verbs for a pointer
			verbs = append(verbs, "%s", "%q", "%#q", "%c", "%U", "%t", "%e", "%-60.3s", "%z", "%T")
		}
		for _, verb := range verbs {
			fmt.Fprintf(&out, verb+"\n", holder)
		}
		for _, handler := range []slog.Handler{slog.NewTextHandler(&out, nil), slog.NewJSONHandler(&out, nil)} {
			slog.New(handler).With("with", holder).WithGroup("group").Info(fmt.Sprint(holder), "holder", holder)
		}
		encoded, err := json.Marshal(holder) // an error must not quote the token
		fmt.Fprintln(&out, string(encoded), err)
		if trace := secrettest.Trace(out.String(), redactionToken); trace != "" {
			t.Errorf("%T reveals %q: %s", holder, trace, out.String())
		}
	}
}

func TestPrintedRequest(t *testing.T) {
	t.Parallel()
	for want, req := range map[string]*quashv1.RevokeRequest{
		`token:"[redacted]" consistency:CONSISTENCY_ALL_REGIONS timeout:{seconds:5} allow_invalid:true`: requestWithToken(),
		`token:"[redacted]"`: {Token: "\xff\xfe"},
		"allow_invalid:true": {AllowInvalid: true},
		"<nil>":              nil,
	} {
		text, err := req.MarshalText()
		for _, got := range []string{
			req.String(), string(text), req.LogValue().Resolve().String(), fmt.Sprintf("%v", req), fmt.Sprintf("%#v", req), fmt.Sprintf("%x", req),
		} {
			// prototext doubles spaces in some builds, so that programs do not rely on its text.
			if got := strings.Join(strings.Fields(got), " "); err != nil || got != want {
				t.Errorf("got %s, %v, want %s", got, err, want)
			}
		}
	}
}

package server

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	statuspb "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"

	quashv1 "github.com/quashdev/quash/gen/quash/v1"
	"github.com/quashdev/quash/internal/secrettest"
	"github.com/quashdev/quash/internal/telemetry"
	"github.com/quashdev/quash/service"
	"github.com/quashdev/quash/service/slashid"
)

// fuzzedAnswers are SlashID's responses in FuzzREST that quash does not retry, with the HTTP
// statuses of the native and the drop-in endpoint (docs/outcomes.md).
var fuzzedAnswers = []struct {
	result         slashid.Result
	native, dropIn []int
}{
	{slashid.Result{Status: http.StatusNoContent}, []int{200}, []int{204}},
	{slashid.Result{Status: http.StatusBadRequest, Envelope: true}, []int{200, 400}, []int{400}}, // allow_invalid or not
	{slashid.Result{Status: http.StatusUnauthorized}, []int{500, 401}, []int{500, 401}},          // whose credentials
	{slashid.Result{Status: http.StatusForbidden}, []int{500, 403}, []int{500, 403}},
	{slashid.Result{Status: http.StatusRequestTimeout, Envelope: true}, []int{504}, []int{408}},
	{slashid.Result{Status: http.StatusRequestTimeout}, []int{504}, []int{503}},
	{slashid.Result{Status: http.StatusTooManyRequests}, []int{429}, []int{429}},
	{slashid.Result{Status: 499}, []int{500}, []int{500}},
	{slashid.Result{}, []int{500}, []int{500}}, // the upstream panics
}

// restFixture is the REST listener's handler in front of a real service and an in-memory
// upstream.
type restFixture struct {
	handler http.Handler
	answer  int // an index of fuzzedAnswers
	asked   []slashid.Request
	log     bytes.Buffer
}

func newRESTFixture(f *testing.F, apiKey func() slashid.Secret) *restFixture {
	f.Helper()
	fixture := &restFixture{}
	logger := slog.New(slog.NewJSONHandler(&fixture.log, nil))
	svc, err := service.New(service.Config{Upstream: fixture, APIKey: apiKey, Logger: logger})
	if err != nil {
		f.Fatal(err)
	}
	cfg := Config{Service: svc, Limits: DefaultLimits, Logger: logger, Telemetry: telemetry.None()}
	observer, err := newObserver(f.Context(), cfg.Telemetry, logger)
	if err != nil {
		f.Fatal(err)
	}
	fixture.handler, err = newREST(f.Context(), cfg, newPending(cfg.Limits), observer)
	if err != nil {
		f.Fatal(err)
	}
	return fixture
}

// Revoke implements service.Upstream.
func (f *restFixture) Revoke(_ context.Context, req slashid.Request) slashid.Result {
	f.asked = append(f.asked, req)
	sent := req.BeforeSend()
	result := fuzzedAnswers[f.answer].result
	if result.Status == 0 {
		panic(fmt.Errorf("no way to revoke %s", req.Token.Reveal()))
	}
	result.Sent, result.CorrelationID, result.RetryAfter = sent, "7f0c", 24*time.Hour
	return result
}

// deadlineRecorder is a ResponseRecorder that accepts read deadlines, as a connection does.
type deadlineRecorder struct{ *httptest.ResponseRecorder }

func (deadlineRecorder) SetReadDeadline(time.Time) error { return nil }

// Every request to the REST listener gets a response in its endpoint's format, with one of the
// endpoint's statuses, and without any part of the token. SlashID gets no token other than the
// one in the body.
//
// In a body, $TOKEN stands for the token as a JSON string, $RAW for its bytes, and $PAD for
// more bytes than the largest body. In headers, $TOKEN stands for its bytes.
func FuzzREST(f *testing.F) {
	const (
		token = "eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJwZXJzb24tMSJ9.c2lnbmVkLWluLWEtdGVzdA"
		plain = `{"token":"$TOKEN"}`
	)
	for _, path := range []string{nativePath, dropInPath} {
		for _, body := range []string{
			`{"token":"$RAW"}`, `{"\u0074oken":"$TOKEN"}`, `{"token":"$PAD$TOKEN"}`, "$PAD" + plain,
			`{"token":"$TOKEN","consistency":"CONSISTENCY_ALL_REGIONS","timeout":"7.5s","allow_invalid":true}`,
			`{"token":"$TOKEN","consistency":"$TOKEN","timeout":"$TOKEN","allowInvalid":"$TOKEN"}`,
			`{"token":"$TOKEN","token":"$TOKEN"}`, `{"token":"$TOKEN","$TOKEN":"$TOKEN"}`, `{"token":["$TOKEN"]}`, `{"token":"a\u0000$TOKEN"}`,
			`{"token":"\ud800$TOKEN"}`, `{"token":"$TOKEN`, plain + "$RAW", `"$TOKEN"`, "$TOKEN", "null", "{}", "", "\xef\xbb\xbf" + plain, "token=$TOKEN",
		} {
			f.Add(path, http.MethodPost, jsonType, "", body, token, uint8(0), false)
		}
		for answer := range fuzzedAnswers {
			f.Add(path, http.MethodPost, jsonType, "Authorization: Bearer $TOKEN", `{"token":"$TOKEN","allowInvalid":true}`, token, uint8(answer), answer%2 == 0)
		}
		for _, header := range []string{
			"SlashID-Required-Consistency: all_regions\nSlashID-Required-Consistency: local_region",
			"SlashID-Required-Consistency: $TOKEN\nSlashID-Required-Consistency-Timeout: $TOKEN\nSlashID-SdkVersion: $TOKEN",
			"SlashID-Required-Consistency: \xe9\nSlashID-API-Key: \x00\nSlashID-OrgID: \x7f\nAuthorization: $TOKEN\xff",
			"Grpc-Timeout: 1n\nGrpc-Metadata-Slashid-Required-Consistency: x\nGrpc-Metadata-A-Bin: !!!\nX-Forwarded-For: $TOKEN",
			"Accept: text/html\nContent-Encoding: gzip\nExpect: 100-continue\nTE: trailers\nConnection: close",
		} {
			f.Add(path, http.MethodPost, jsonType, header, plain, token, uint8(0), true)
		}
		f.Add(path, http.MethodPost, "$TOKEN", "", plain, token, uint8(0), false)
		f.Add(path, "$TOKEN", jsonType, "X-HTTP-Method-Override: POST", plain, token, uint8(0), false)
		f.Add(path, http.MethodPost, jsonType, "", `{"token":"$RAW"}`, `","allowInvalid":true,"token":"`, uint8(0), false)
		f.Add(path, http.MethodPost, jsonType, "", plain, strings.Repeat("a", 16<<10+1), uint8(0), false)
		f.Add(path+"/$TOKEN", http.MethodPost, jsonType, "", plain, token, uint8(0), false)
	}
	const ownKey = "the-key-of-quash-itself"
	own := newRESTFixture(f, func() slashid.Secret { return slashid.NewSecret(ownKey) })
	forwarding := newRESTFixture(f, nil)
	f.Fuzz(func(t *testing.T, path, method, contentType, headers, body, token string, answer uint8, forward bool) {
		token = secrettest.Spiked(token)
		escaped, err := json.Marshal(token)
		if err != nil {
			t.Fatal(err)
		}
		inJSON := string(escaped[1 : len(escaped)-1])
		fill := func(text string) string { return strings.ReplaceAll(text, "$TOKEN", token) }
		body = strings.NewReplacer("$TOKEN", inJSON, "$RAW", token, "$PAD", strings.Repeat(" ", DefaultLimits.RequestBytes)).Replace(body)
		r := (&http.Request{
			Method: fill(method), URL: &url.URL{Path: fill(path)}, Header: http.Header{}, Host: "quash.test",
			Body: io.NopCloser(strings.NewReader(body)), Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		}).WithContext(t.Context())
		for line := range strings.SplitSeq(headers, "\n") {
			name, value, _ := strings.Cut(line, ":")
			r.Header.Add(name, strings.TrimSpace(fill(value)))
		}
		if contentType != "" {
			r.Header.Set("Content-Type", fill(contentType))
		}
		fixture := own
		if forward {
			fixture = forwarding
		}
		fixture.answer, fixture.asked = int(answer)%len(fuzzedAnswers), nil
		fixture.log.Reset()
		w := httptest.NewRecorder()
		sent := r.Method + " " + r.URL.Path
		fixture.handler.ServeHTTP(deadlineRecorder{w}, r)

		checkForm(t, r.URL.Path, w)
		fixture.checkStatus(t, sent, w)
		fixture.checkAsked(t, body)
		var header strings.Builder
		_ = w.Header().Write(&header)
		for what, text := range map[string]string{"body": w.Body.String(), "header": header.String(), "log": fixture.log.String()} {
			for _, secret := range []string{token, inJSON, ownKey} {
				if run := secrettest.SharedRun(text, secret); run != "" {
					t.Errorf("the %s contains %q", what, run)
				}
			}
		}
		if t.Failed() {
			t.Logf("%q\n%q\n%d %v\n%s", sent, body, w.Code, w.Header(), w.Body)
		}
	})
}

// checkForm checks that a response is complete and in its endpoint's format.
func checkForm(t *testing.T, path string, w *httptest.ResponseRecorder) {
	t.Helper()
	switch {
	case w.Code == http.StatusNoContent:
		if w.Body.Len() > 0 || w.Header().Get("Content-Type") != "" {
			t.Error("204 with a body")
		}
		return
	case w.Header().Get("Content-Type") != jsonType || w.Header().Get("X-Content-Type-Options") != "nosniff":
		t.Errorf("header: %v", w.Header())
	}
	switch {
	case path == dropInPath:
		var e envelope
		if err := json.Unmarshal(w.Body.Bytes(), &e); err != nil || len(e.Errors) == 0 || e.Errors[0].HTTPCode != w.Code || e.Errors[0].Message == "" {
			t.Errorf("not an envelope: %v", err)
		}
		checkReasonAndState(t, w.Header().Get(headerReason), "REVOCATION_STATE_"+w.Header().Get(headerState))
	case w.Code == http.StatusOK:
		resp := &quashv1.RevokeResponse{}
		if err := protojson.Unmarshal(w.Body.Bytes(), resp); err != nil || resp.GetOutcome() == 0 {
			t.Errorf("not a RevokeResponse: %v, %v", resp, err)
		}
	default:
		pb := &statuspb.Status{}
		if err := protojson.Unmarshal(w.Body.Bytes(), pb); err != nil {
			t.Fatalf("not a Status: %v", err)
		}
		st := status.FromProto(pb)
		checkReasonAndState(t, errorInfo(st).GetReason(), detail[*quashv1.RevokeFailure](st).GetState().String())
	}
}

func checkReasonAndState(t *testing.T, reason, state string) {
	t.Helper()
	if quashv1.ErrorReason_value["ERROR_REASON_"+reason] == 0 || quashv1.RevocationState_value[state] == 0 {
		t.Errorf("reason %q, state %q", reason, state)
	}
}

// checkStatus checks that the status fits SlashID's response, or that SlashID got no request.
func (f *restFixture) checkStatus(t *testing.T, sent string, w *httptest.ResponseRecorder) {
	t.Helper()
	answer := fuzzedAnswers[f.answer]
	asked := len(f.asked) > 0
	want := []int{http.StatusNotFound, http.StatusMethodNotAllowed}
	switch {
	case sent == "POST "+nativePath && asked:
		want = answer.native
	case sent == "POST "+dropInPath && asked:
		want = answer.dropIn
	case sent == "POST "+nativePath:
		want = []int{http.StatusBadRequest, http.StatusUnsupportedMediaType, http.StatusRequestEntityTooLarge}
	case sent == "POST "+dropInPath:
		want = []int{http.StatusBadRequest}
	case asked:
		t.Error("SlashID got a request")
	}
	if !slices.Contains(want, w.Code) {
		t.Errorf("status %d, want one of %v", w.Code, want)
	}
}

// checkAsked checks that SlashID got at most one request, for the token in the body.
func (f *restFixture) checkAsked(t *testing.T, body string) {
	t.Helper()
	if len(f.asked) == 0 {
		return
	}
	var members map[string]json.RawMessage // json.Unmarshal into a struct ignores case
	var token string
	if json.Unmarshal([]byte(body), &members) != nil || json.Unmarshal(members["token"], &token) != nil {
		t.Fatal("SlashID got a request although the body has no token")
	}
	req := f.asked[0]
	if len(f.asked) > 1 || req.Token.Reveal() != token || len(token) > 16<<10 {
		t.Errorf("SlashID got %d requests, for %q", len(f.asked), req.Token.Reveal())
	}
	if req.Timeout < time.Second || req.Timeout > 120*time.Second || req.Timeout%time.Second != 0 {
		t.Errorf("SlashID got the timeout %s", req.Timeout)
	}
}

package server

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/quashdev/quash/internal/secrettest"

	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	statuspb "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/types/known/structpb"

	quashv1 "github.com/quashdev/quash/gen/quash/v1"
	"github.com/quashdev/quash/service"
	"github.com/quashdev/quash/service/slashid"
	"github.com/quashdev/quash/service/telemetry"
)

// fuzzedAnswers are those of SlashID in FuzzREST: what is not tried again. The last is
// no status of HTTP, and one more panics.
var fuzzedAnswers = []slashid.Result{
	{Status: http.StatusNoContent},
	{Status: http.StatusBadRequest, Envelope: true},
	{Status: http.StatusUnauthorized},
	{Status: http.StatusForbidden},
	{Status: http.StatusRequestTimeout, Envelope: true},
	{Status: http.StatusRequestTimeout},
	{Status: http.StatusTooManyRequests},
	{Status: 499},
	{Status: 999},
}

// restFixture is the REST listener's handler in front of a real service and an
// upstream in memory.
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
	if f.answer >= len(fuzzedAnswers) {
		panic(fmt.Errorf("no way to revoke %s", req.Token.Reveal()))
	}
	result := fuzzedAnswers[f.answer]
	result.Sent, result.CorrelationID, result.RetryAfter = sent, "7f0c", 24*time.Hour
	return result
}

// serve answers a request, and forgets what came before it.
func (f *restFixture) serve(r *http.Request, answer int) *httptest.ResponseRecorder {
	f.answer, f.asked = answer, nil
	f.log.Reset()
	w := httptest.NewRecorder()
	f.handler.ServeHTTP(deadlineRecorder{w}, r)
	return w
}

// deadlineRecorder has the read deadline that a connection has.
type deadlineRecorder struct{ *httptest.ResponseRecorder }

func (deadlineRecorder) SetReadDeadline(time.Time) error { return nil }

// Whatever comes to the REST listener is answered in the form of its door, with a
// status that the door has, and without a piece of the token; and SlashID is asked
// for no other token than the one in the body.
//
// In a body $TOKEN stands for the token as JSON has it and $RAW for its bytes, $PAD
// for more than the largest body; in the headers $TOKEN stands for its bytes.
func FuzzREST(f *testing.F) {
	const (
		token = "eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJwZXJzb24tMSJ9.c2lnbmVkLWluLWEtdGVzdA"
		plain = `{"token":"$TOKEN"}`
	)
	for _, path := range []string{nativePath, dropInPath} {
		for _, body := range []string{
			plain, ` {"token" : "$TOKEN"}` + "\r\n", `{"token":"$RAW"}`, `{"\u0074oken":"$TOKEN"}`, `{"token":"$PAD$TOKEN"}`, "$PAD" + plain,
			`{"token":"$TOKEN","consistency":"CONSISTENCY_ALL_REGIONS","timeout":"7.5s","allowInvalid":true}`,
			`{"token":"$TOKEN","allow_invalid":true,"consistency":2,"timeout":"7s"}`,
			`{"token":"$TOKEN","allow_invalid":true,"allowInvalid":true}`,
			`{"token":"$TOKEN","consistency":null,"timeout":null,"allowInvalid":null}`,
			`{"token":"$TOKEN","consistency":"$TOKEN","timeout":"$TOKEN","allowInvalid":"$TOKEN"}`,
			`{"token":"$TOKEN","token":"$TOKEN"}`, `{"token":"$TOKEN","$TOKEN":"$TOKEN"}`, `{"$TOKEN":1}`, `{"Token":"$TOKEN"}`, `{"token":"$TOKEN","x":{"y":[1]}}`,
			`{"token":null}`, `{"token":["$TOKEN"]}`, `{"token":7}`, `{"token":"a\u0000$TOKEN"}`, `{"token":"\ud800$TOKEN"}`, `{"token":"$TOKEN`, plain + plain, plain + "$RAW",
			`"$TOKEN"`, `["$TOKEN"]`, "$TOKEN", "null", "{}", "", "\x00", "\xef\xbb\xbf" + plain, "token=$TOKEN",
			"{\"token\":\"a\xff\",\"x\":" + strings.Repeat("[", 200) + strings.Repeat("]", 200) + "}",
		} {
			f.Add(path, http.MethodPost, jsonType, "", body, token, uint8(0), false)
		}
		for answer := range len(fuzzedAnswers) + 1 {
			f.Add(path, http.MethodPost, jsonType, "", plain, token, uint8(answer), false)
			f.Add(path, http.MethodPost, jsonType, "Authorization: Bearer $TOKEN", `{"token":"$TOKEN","allowInvalid":true}`, token, uint8(answer), true)
		}
		for _, header := range []string{
			"SlashID-Required-Consistency: all_regions\nSlashID-Required-Consistency-Timeout: 7\nSlashID-SdkVersion: 1.2.3",
			"SlashID-Required-Consistency: all_regions\nSlashID-Required-Consistency: local_region",
			"SlashID-Required-Consistency: $TOKEN\nSlashID-Required-Consistency-Timeout: $TOKEN\nSlashID-SdkVersion: $TOKEN",
			"SlashID-Required-Consistency: \xe9\nSlashID-API-Key: \x00\nSlashID-OrgID: \x7f\nAuthorization: $TOKEN\xff",
			"SlashID-API-Key: $TOKEN\nSlashID-API-Key: a\nSlashID-OrgID: b\nSlashID-OrgID: c",
			"Authorization: Bearer $TOKEN\nSlashID-API-Key: $TOKEN\nSlashID-OrgID: b",
			"Grpc-Timeout: 1n\nGrpc-Metadata-Slashid-Required-Consistency: x\nGrpc-Metadata-A-Bin: !!!\nA-Bin: !!!\nX-Forwarded-For: $TOKEN",
			"X-HTTP-Method-Override: GET\nAccept: text/html\nContent-Encoding: gzip\nExpect: 100-continue\nTE: trailers\nConnection: close",
		} {
			f.Add(path, http.MethodPost, jsonType, header, plain, token, uint8(0), true)
			f.Add(path, http.MethodPost, jsonType, header, plain, token, uint8(0), false)
		}
		for _, contentType := range []string{
			"", "text/plain", "application/json; charset=UTF-8", "application/json; charset=latin1", "Application/JSON", ";;;", "application/json;",
			"application/json; charset=utf-8; charset=utf-8", "application/x-www-form-urlencoded", "application/grpc", "$TOKEN", "application/json\n",
		} {
			f.Add(path, http.MethodPost, contentType, "", plain, token, uint8(0), false)
		}
		for _, method := range []string{"GET", "HEAD", "PUT", "OPTIONS", "CONNECT", "post", "", "$TOKEN"} {
			f.Add(path, method, jsonType, "X-HTTP-Method-Override: POST", plain, token, uint8(0), false)
		}
		for _, odd := range []string{"", "a", "..", strings.Repeat("a", 16<<10), strings.Repeat("a", 16<<10+1), "\xff\x00\"\\\n<&>\u2028" + token, `","allowInvalid":true,"token":"`} {
			f.Add(path, http.MethodPost, jsonType, "", plain, odd, uint8(0), false)
			f.Add(path, http.MethodPost, jsonType, "", `{"token":"$RAW"}`, odd, uint8(0), false)
		}
		f.Add(path+"/", http.MethodPost, jsonType, "", plain, token, uint8(0), false)
		f.Add(path+"/$TOKEN", http.MethodPost, jsonType, "", plain, token, uint8(0), false)
	}
	own := newRESTFixture(f, func() slashid.Secret { return slashid.NewSecret("the-key-of-quash-itself") })
	forwarding := newRESTFixture(f, nil)
	f.Fuzz(func(t *testing.T, path, method, contentType, headers, body, token string, answer uint8, forward bool) {
		token = secrettest.Spiked(token)
		escaped, err := json.Marshal(token)
		if err != nil {
			t.Fatal(err)
		}
		inJSON := string(escaped[1 : len(escaped)-1])
		c := &restCase{
			path:    strings.ReplaceAll(path, "$TOKEN", token),
			method:  strings.ReplaceAll(method, "$TOKEN", token),
			header:  http.Header{},
			body:    strings.NewReplacer("$TOKEN", inJSON, "$RAW", token, "$PAD", strings.Repeat(" ", DefaultLimits.RequestBytes)).Replace(body),
			secrets: []string{token, inJSON, "the-key-of-quash-itself"},
			answer:  int(answer) % (len(fuzzedAnswers) + 1),
			forward: forward,
		}
		for line := range strings.SplitSeq(headers, "\n") {
			name, value, _ := strings.Cut(line, ":")
			c.header.Add(name, strings.TrimSpace(strings.ReplaceAll(value, "$TOKEN", token)))
		}
		if contentType != "" {
			c.header.Set("Content-Type", strings.ReplaceAll(contentType, "$TOKEN", token))
		}
		fixture := own
		if forward {
			fixture = forwarding
		}
		r := (&http.Request{
			Method: c.method, URL: &url.URL{Path: c.path}, Header: c.header.Clone(), Host: "quash.test",
			Body: http.NoBody, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		}).WithContext(t.Context())
		r.Body = readCloser{strings.NewReader(c.body)}

		w := fixture.serve(r, c.answer)

		c.checkForm(t, w)
		c.checkDecision(t, w, fixture.asked)
		c.checkSilence(t, w, fixture.log.String())
		if t.Failed() {
			t.Logf("%q %q %q\n%q\n%d %v\n%s", c.method, c.path, c.header, c.body, w.Code, w.Header(), w.Body)
		}
	})
}

type readCloser struct{ *strings.Reader }

func (readCloser) Close() error { return nil }

// restCase is one request to the REST listener, and what SlashID would answer.
type restCase struct {
	path, method, body string
	header             http.Header
	secrets            []string
	answer             int // as in restFixture
	forward            bool
}

// checkForm checks that an answer is whole, and of its door's form.
func (c *restCase) checkForm(t *testing.T, w *httptest.ResponseRecorder) {
	t.Helper()
	allowed := []string{
		"Allow", "Content-Type", "Quash-Error-Reason", "Quash-Revocation-State", "Retry-After",
		"Slashid-Correlation-Id", "X-Content-Type-Options",
	}
	for name, values := range w.Header() {
		if !slices.Contains(allowed, name) || len(values) != 1 || values[0] == "" {
			t.Errorf("header %s: %q", name, values)
		}
	}
	if w.Header().Get("X-Content-Type-Options") != "nosniff" {
		t.Error("no nosniff")
	}
	if (w.Header().Get("Allow") != "") != (w.Code == http.StatusMethodNotAllowed) {
		t.Errorf("status %d, Allow: %q", w.Code, w.Header().Get("Allow"))
	}
	if after := w.Header().Get("Retry-After"); !regexp.MustCompile(`\A([1-9][0-9]*)?\z`).MatchString(after) {
		t.Errorf("Retry-After: %q", after)
	}
	if w.Code == http.StatusNoContent {
		if w.Body.Len() > 0 || w.Header().Get("Content-Type") != "" || c.path != dropInPath {
			t.Error("204 with a body, or of the wrong door")
		}
		return
	}
	if w.Header().Get("Content-Type") != "application/json" {
		t.Errorf("Content-Type: %q", w.Header().Get("Content-Type"))
	}
	switch {
	case c.path == dropInPath:
		c.checkEnvelope(t, w)
	case w.Code == http.StatusOK:
		resp := &quashv1.RevokeResponse{}
		if err := protojson.Unmarshal(w.Body.Bytes(), resp); err != nil || resp.GetOutcome() == 0 {
			t.Errorf("no RevokeResponse: %v, %v", resp, err)
		}
	default:
		c.checkStatus(t, w)
	}
}

func (c *restCase) checkEnvelope(t *testing.T, w *httptest.ResponseRecorder) {
	t.Helper()
	var e envelope
	decoder := json.NewDecoder(bytes.NewReader(w.Body.Bytes()))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&e); err != nil || !json.Valid(w.Body.Bytes()) || len(e.Errors) == 0 {
		t.Fatalf("no envelope: %v", err)
	}
	for _, one := range e.Errors {
		if one.HTTPCode != w.Code || one.Message == "" {
			t.Errorf("the envelope of %d says %+v", w.Code, one)
		}
	}
	if quashv1.ErrorReason_value["ERROR_REASON_"+w.Header().Get(headerReason)] == 0 ||
		quashv1.RevocationState_value["REVOCATION_STATE_"+w.Header().Get(headerState)] == 0 {
		t.Errorf("%s: %q, %s: %q", headerReason, w.Header().Get(headerReason), headerState, w.Header().Get(headerState))
	}
}

func (c *restCase) checkStatus(t *testing.T, w *httptest.ResponseRecorder) {
	t.Helper()
	pb := &statuspb.Status{}
	if err := protojson.Unmarshal(w.Body.Bytes(), pb); err != nil {
		t.Fatalf("no Status: %v", err)
	}
	st := status.FromProto(pb)
	ownStatus := []int{
		http.StatusNotFound, http.StatusMethodNotAllowed, http.StatusRequestEntityTooLarge, http.StatusUnsupportedMediaType,
	}
	if slices.Contains(ownStatus, w.Code) {
		if st.Code() != codes.InvalidArgument {
			t.Errorf("%d is %s", w.Code, st.Code())
		}
	} else if runtime.HTTPStatusFromCode(st.Code()) != w.Code {
		t.Errorf("%d for %s", w.Code, st.Code())
	}
	info := errorInfo(st)
	if st.Message() == "" || quashv1.ErrorReason_value["ERROR_REASON_"+info.GetReason()] == 0 || info.GetDomain() != service.ErrorDomain {
		t.Errorf("%q: %v", st.Message(), info)
	}
	if detail[*quashv1.RevokeFailure](st).GetState() == 0 {
		t.Error("it does not say whether the token is dead")
	}
	bad := detail[*errdetails.BadRequest](st).GetFieldViolations()
	if (info.GetReason() == "INVALID_REQUEST") != (len(bad) > 0) {
		t.Errorf("%s with the violations %v", info.GetReason(), bad)
	}
	for _, v := range bad {
		if v.GetField() == "" || v.GetDescription() == "" {
			t.Errorf("an empty violation: %v", bad)
		}
	}
}

// checkDecision checks whether SlashID was asked when it should have been, and for
// what; and that the status is the one for that.
func (c *restCase) checkDecision(t *testing.T, w *httptest.ResponseRecorder, asked []slashid.Request) {
	t.Helper()
	sent, members := c.sentToken()
	if len(asked) == 0 {
		if want := c.refusals(); !slices.Contains(want, w.Code) {
			t.Errorf("status %d, want one of %v", w.Code, want)
		}
		isObject := protojson.Unmarshal([]byte(c.body), &structpb.Struct{}) == nil // each member once
		if c.path == dropInPath && c.method == http.MethodPost && len(c.body) <= DefaultLimits.RequestBytes && validToken(sent) && isObject &&
			regexp.MustCompile(`"message":"(body|token|consistency|timeout|allow_invalid): `).Match(w.Body.Bytes()) {
			t.Error("the drop-in door refuses a good body")
		}
		return
	}
	if len(asked) > 1 || c.method != http.MethodPost || len(c.body) > DefaultLimits.RequestBytes {
		t.Errorf("SlashID was asked %d times", len(asked))
	}
	req := asked[0]
	if sent == nil || req.Token.Reveal() != *sent || !validToken(sent) {
		t.Errorf("SlashID was asked for the token %q", req.Token.Reveal())
	}
	if req.Consistency != slashid.LocalRegion && req.Consistency != slashid.AllRegions {
		t.Errorf("SlashID was asked for the consistency %q", req.Consistency)
	}
	if req.Timeout < time.Second || req.Timeout > 120*time.Second || req.Timeout%time.Second != 0 {
		t.Errorf("SlashID was asked for the timeout %s", req.Timeout)
	}
	if level := c.header.Values(slashid.HeaderConsistency); len(level) > 0 && level[0] != string(req.Consistency) {
		t.Errorf("%s became %s", level, req.Consistency)
	}
	c.checkCredentials(t, req.Credentials)
	known := []string{"token", "consistency", "timeout", "allowInvalid", "allow_invalid"}
	for _, name := range members {
		if c.path == nativePath && !slices.Contains(known, name) {
			t.Errorf("the native door takes the member %q", name)
		}
	}
	if want := c.statuses(); !slices.Contains(want, w.Code) {
		t.Errorf("status %d, want one of %v", w.Code, want)
	}
}

func (c *restCase) checkCredentials(t *testing.T, got slashid.Credentials) {
	t.Helper()
	want := map[string]string{"key": "the-key-of-quash-itself"}
	if c.forward {
		want = map[string]string{
			"key":           c.header.Get(slashid.HeaderAPIKey),
			"authorization": c.header.Get(slashid.HeaderAuthorization),
			"organisation":  c.header.Get(slashid.HeaderOrgID),
		}
	}
	if got.APIKey.Reveal() != want["key"] || got.Authorization.Reveal() != want["authorization"] || got.OrgID != want["organisation"] {
		t.Errorf("SlashID was given %q, %q, %q, want %q", got.APIKey.Reveal(), got.Authorization.Reveal(), got.OrgID, want)
	}
}

// sentToken is the token in the body, nil where there is none, and the names of the
// body's members.
func (c *restCase) sentToken() (token *string, members []string) {
	var object map[string]json.RawMessage
	if json.Unmarshal([]byte(c.body), &object) != nil {
		return nil, nil
	}
	_ = json.Unmarshal(object["token"], &token)
	return token, slices.Collect(maps.Keys(object))
}

func validToken(token *string) bool {
	return token != nil && len(*token) <= 16<<10 && regexp.MustCompile(`\A[A-Za-z0-9._-]+\z`).MatchString(*token)
}

// refusals are the statuses that a request may be refused with.
func (c *restCase) refusals() []int {
	switch {
	case c.path != nativePath && c.path != dropInPath:
		return []int{http.StatusNotFound}
	case c.method != http.MethodPost:
		return []int{http.StatusMethodNotAllowed}
	case c.path == dropInPath:
		return []int{http.StatusBadRequest}
	case !strings.HasPrefix(strings.ToLower(strings.TrimSpace(c.header.Get("Content-Type"))), jsonType):
		return []int{http.StatusUnsupportedMediaType}
	case len(c.body) > DefaultLimits.RequestBytes:
		return []int{http.StatusRequestEntityTooLarge, http.StatusUnsupportedMediaType, http.StatusBadRequest}
	default:
		return []int{http.StatusBadRequest, http.StatusUnsupportedMediaType}
	}
}

// statuses are those for SlashID's answer: docs/outcomes.md.
func (c *restCase) statuses() []int {
	native := c.path == nativePath
	at := func(nativeStatus, dropInStatus int) []int {
		if native {
			return []int{nativeStatus}
		}
		return []int{dropInStatus}
	}
	if c.answer >= len(fuzzedAnswers) {
		return at(500, 500)
	}
	switch answer := fuzzedAnswers[c.answer]; {
	case answer.Status == http.StatusNoContent:
		return at(200, 204)
	case answer.Status == http.StatusBadRequest && native:
		return []int{200, 400} // whether the body has allow_invalid
	case answer.Status == http.StatusBadRequest:
		return at(400, 400)
	case answer.Status == http.StatusUnauthorized && c.forward:
		return at(401, 401)
	case answer.Status == http.StatusForbidden && c.forward:
		return at(403, 403)
	case answer.Status == http.StatusRequestTimeout && answer.Envelope:
		return at(504, 408)
	case answer.Status == http.StatusRequestTimeout:
		return at(504, 503)
	case answer.Status == http.StatusTooManyRequests:
		return at(429, 429)
	default:
		return at(500, 500)
	}
}

// checkSilence checks that neither the answer nor the log tells a secret.
func (c *restCase) checkSilence(t *testing.T, w *httptest.ResponseRecorder, log string) {
	t.Helper()
	var answer strings.Builder
	answer.Write(w.Body.Bytes())
	if err := w.Header().Write(&answer); err != nil {
		t.Fatal(err)
	}
	for _, secret := range c.secrets {
		if run := secrettest.SharedRun(answer.String(), secret); run != "" {
			t.Errorf("the answer tells %q", run)
		}
		if run := secrettest.SharedRun(log, secret); run != "" {
			t.Errorf("the log tells %q: %s", run, log)
		}
	}
}

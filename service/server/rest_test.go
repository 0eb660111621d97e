package server_test

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	statuspb "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/protobuf/encoding/protojson"

	"github.com/quashdev/quash/internal/upstreamtest"
	"github.com/quashdev/quash/service/slashid"
)

const (
	nativePath = "/v1/tokens:revoke"
	dropInPath = "/token/revoke"
)

// revokesAll is an upstream for which every token is there to be revoked.
var revokesAll = upstreamtest.Func(func(context.Context, slashid.Request) slashid.Result {
	return slashid.Result{Status: http.StatusNoContent, Sent: true}
})

// neverCalled is an upstream that a test must not reach.
func neverCalled(t *testing.T) upstreamtest.Func {
	return func(context.Context, slashid.Request) slashid.Result {
		t.Error("upstream was called")
		return slashid.Result{Status: http.StatusNoContent, Sent: true}
	}
}

var jsonHeader = http.Header{"Content-Type": {"application/json"}}

// nativeViolations reads an error of the native door: its HTTP status, and what it
// says is wrong.
func nativeViolations(t *testing.T, resp *http.Response, body []byte) []string {
	t.Helper()
	st := &statuspb.Status{}
	if err := protojson.Unmarshal(body, st); err != nil {
		t.Fatalf("%v in %s", err, body)
	}
	var texts []string
	for _, d := range st.GetDetails() {
		bad := &errdetails.BadRequest{}
		if d.MessageIs(bad) {
			if err := d.UnmarshalTo(bad); err != nil {
				t.Fatal(err)
			}
			for _, v := range bad.GetFieldViolations() {
				texts = append(texts, v.GetField()+": "+v.GetDescription())
			}
		}
	}
	if resp.Header.Get("Content-Type") != "application/json" {
		t.Errorf("Content-Type: %q", resp.Header.Get("Content-Type"))
	}
	return texts
}

func dropInMessages(t *testing.T, resp *http.Response, body []byte) []string {
	t.Helper()
	var e struct {
		Errors []struct {
			HTTPCode int    `json:"httpcode"`
			Message  string `json:"message"`
		} `json:"errors"`
	}
	if err := json.Unmarshal(body, &e); err != nil {
		t.Fatalf("%v in %s", err, body)
	}
	var texts []string
	for _, one := range e.Errors {
		if one.HTTPCode != resp.StatusCode {
			t.Errorf("httpcode %d in an answer with status %d", one.HTTPCode, resp.StatusCode)
		}
		texts = append(texts, one.Message)
	}
	return texts
}

func TestNativeBody(t *testing.T) {
	t.Parallel()
	f := startFacade(t, neverCalled(t))
	const knownMembers = "the known ones are token, consistency, timeout, allowInvalid"
	for _, tt := range []struct{ name, body, want string }{
		{"empty", "", "body: is empty; it must be a JSON object"},
		{"broken", `{"token":`, "body: is not JSON: it goes wrong at byte 9 of 9"},
		{"an array", `[]`, "body: must be a JSON object"},
		{"null", `null`, "body: must be a JSON object"},
		{"a string", `"secret.secret.secret"`, "body: must be a JSON object"},
		{"followed by another", `{"token":"secret.secret.secret"} {}`, "body: is not JSON: it goes wrong at byte 34 of 35"},
		{"an unknown member", `{"token":"a","secret.secret.secret":1}`, "body: has unknown members; " + knownMembers},
		{"a member in another case", `{"Token":"secret.secret.secret"}`, "body: has unknown members; " + knownMembers},
		{"a member twice", `{"token":"secret.secret.secret","token":"b"}`, "body: has a member twice, or text that is not UTF-8"},
		{"not UTF-8", "{\"token\":\"secret.secret.secret\xff\"}", "token: does not have the JSON form of string"},
		{"a token of another type", `{"token":["secret.secret.secret"]}`, "token: does not have the JSON form of string"},
		{"a level of another name", `{"token":"a","consistency":"secret.secret.secret"}`, "consistency: does not have the JSON form of quash.v1.Consistency"},
		{"a timeout of another form", `{"token":"a","timeout":30}`, "timeout: does not have the JSON form of google.protobuf.Duration"},
		{"several things", `{"token":1,"timeout":"x","y":1,"z":2}`, "token: does not have the JSON form of string"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			resp, body := f.post(t, nativePath, jsonHeader, []byte(tt.body))
			if resp.StatusCode != http.StatusBadRequest {
				t.Errorf("status %d, want 400", resp.StatusCode)
			}
			if got := strings.Join(nativeViolations(t, resp, body), "|"); got != tt.want {
				t.Errorf("violations:\n got %s\nwant %s", got, tt.want)
			}
			if strings.Contains(string(body), "secret") {
				t.Errorf("the answer repeats the token: %s", body)
			}
		})
	}
}

func TestDropInBody(t *testing.T) {
	t.Parallel()
	f := startFacade(t, neverCalled(t))
	for _, tt := range []struct{ name, body, want string }{
		{"empty", "", "body: is empty; it must be a JSON object"},
		{"broken", `{"token":"secret.secret.secret"`, "body: is not JSON: it goes wrong at byte 31 of 31"},
		{"an array", `["secret.secret.secret"]`, "body: must be a JSON object"},
		{"followed by another", `{"token":"secret.secret.secret"}{}`, "body: is not JSON: it goes wrong at byte 33 of 34"},
		{"no token", `{"consistency":"x"}`, "token: must be at least 1 bytes"},
		{"a null token", `{"token":null}`, "token: must be a string"},
		{"a number for a token", `{"token":5}`, "token: must be a string"},
		{"a token in another case", `{"TOKEN":"secret.secret.secret"}`, "token: must be at least 1 bytes"},
		{"a token with a line break", `{"token":"secret.\nsecret"}`, "token: does not match regex pattern `^[A-Za-z0-9._-]*$`"},
		{"not UTF-8", "{\"token\":\"secret\xff\"}", "body: has a member twice, or text that is not UTF-8"},
		{"a member twice", `{"token":"secret.secret.secret","token":"b"}`, "body: has a member twice, or text that is not UTF-8"},
		{"a member twice, once escaped", `{"token":"secret.secret.secret","\u0074oken":"b"}`, "body: has a member twice, or text that is not UTF-8"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			resp, body := f.post(t, dropInPath, http.Header{}, []byte(tt.body))
			if resp.StatusCode != http.StatusBadRequest {
				t.Errorf("status %d, want 400", resp.StatusCode)
			}
			if got := strings.Join(dropInMessages(t, resp, body), "|"); got != tt.want {
				t.Errorf("messages:\n got %s\nwant %s", got, tt.want)
			}
			if strings.Contains(string(body), "secret") {
				t.Errorf("the answer repeats the token: %s", body)
			}
		})
	}
}

// SlashID's contract has one member; whatever else a client of it sends, members
// that mean something to quash included, changes nothing.
func TestDropInIgnoresUnknownMembers(t *testing.T) {
	t.Parallel()
	got := make(chan slashid.Request, 1)
	f := startFacade(t, upstreamtest.Func(func(_ context.Context, req slashid.Request) slashid.Result {
		got <- req
		return slashid.Result{Status: http.StatusBadRequest, Envelope: true, Sent: true}
	}))
	resp, _ := f.post(t, dropInPath, http.Header{}, []byte(
		`{"x":{"y":[1]},"consistency":"CONSISTENCY_ALL_REGIONS","timeout":"7s","allowInvalid":true,"allow_invalid":true,"token":"a.b.c"}`))
	if resp.StatusCode != http.StatusBadRequest {
		t.Errorf("status %d, want 400", resp.StatusCode)
	}
	req := <-got
	if req.Token.Reveal() != "a.b.c" || req.Consistency != slashid.LocalRegion || req.Timeout.Seconds() != 30 {
		t.Errorf("upstream was asked for %s within %s", req.Consistency, req.Timeout)
	}
}

func TestMethods(t *testing.T) {
	t.Parallel()
	f := startFacade(t, neverCalled(t))
	for _, path := range []string{nativePath, dropInPath} {
		for _, method := range []string{http.MethodGet, http.MethodHead, http.MethodPut, http.MethodDelete, http.MethodPatch, http.MethodOptions} {
			req, err := http.NewRequestWithContext(t.Context(), method, f.url(path), nil)
			if err != nil {
				t.Fatal(err)
			}
			// Neither of these makes another method a POST.
			req.Header.Set("X-HTTP-Method-Override", http.MethodPost)
			req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			resp, body := f.do(t, req)
			if resp.StatusCode != http.StatusMethodNotAllowed || resp.Header.Get("Allow") != http.MethodPost {
				t.Errorf("%s %s: status %d, Allow %q", method, path, resp.StatusCode, resp.Header.Get("Allow"))
			}
			if method == http.MethodHead {
				continue
			}
			texts := nativeOrDropIn(t, path, resp, body)
			if got := strings.Join(texts, "|"); got != "method: must be POST" {
				t.Errorf("%s %s: %s", method, path, got)
			}
		}
	}
}

func nativeOrDropIn(t *testing.T, path string, resp *http.Response, body []byte) []string {
	t.Helper()
	if path == nativePath {
		return nativeViolations(t, resp, body)
	}
	return dropInMessages(t, resp, body)
}

func TestUnknownPaths(t *testing.T) {
	t.Parallel()
	f := startFacade(t, neverCalled(t))
	for _, path := range []string{
		"/", "/v1/tokens", "/v1/tokens:revoke/", "/v1/tokens:other", "//token/revoke", "/token/revoke/", "/token/./revoke",
		"/token", "/quash.v1.TokenService/Revoke", "/metrics", "/debug/pprof/", "/readyz",
	} {
		resp, body := f.post(t, path, jsonHeader, []byte(`{"token":"a.b.c"}`))
		if resp.StatusCode != http.StatusNotFound {
			t.Errorf("%s: status %d, want 404", path, resp.StatusCode)
		}
		if got := nativeViolations(t, resp, body); len(got) != 1 {
			t.Errorf("%s: %q", path, got)
		}
	}
}

func TestNativeContentType(t *testing.T) {
	t.Parallel()
	f := startFacade(t, revokesAll)
	for contentType, want := range map[string]int{
		"application/json":                   http.StatusOK,
		"application/json; charset=utf-8":    http.StatusOK,
		"Application/JSON;charset=\"UTF-8\"": http.StatusOK,
		"":                                   http.StatusUnsupportedMediaType,
		"text/plain":                         http.StatusUnsupportedMediaType,
		"application/json; charset=latin1":   http.StatusUnsupportedMediaType,
		"application/x-www-form-urlencoded":  http.StatusUnsupportedMediaType,
		"application/grpc":                   http.StatusUnsupportedMediaType,
		"application/jsonp":                  http.StatusUnsupportedMediaType,
		";;;":                                http.StatusUnsupportedMediaType,
	} {
		header := http.Header{}
		if contentType != "" {
			header.Set("Content-Type", contentType)
		}
		resp, body := f.post(t, nativePath, header, []byte(`{"token":"a.b.c"}`))
		if resp.StatusCode != want {
			t.Errorf("%q: status %d, want %d: %s", contentType, resp.StatusCode, want, body)
		}
	}
}

func TestLargestBody(t *testing.T) {
	t.Parallel()
	f := startFacade(t, revokesAll)
	// White space makes a body of any size out of the same request.
	sized := func(size int) []byte {
		const message = `{"token":"a.b.c"}`
		return []byte(strings.Repeat(" ", size-len(message)) + message)
	}
	for _, tt := range []struct {
		path string
		size int
		want int
	}{
		{nativePath, 64 << 10, http.StatusOK},
		{nativePath, 64<<10 + 1, http.StatusRequestEntityTooLarge},
		{dropInPath, 64 << 10, http.StatusNoContent},
		{dropInPath, 64<<10 + 1, http.StatusBadRequest},
	} {
		resp, body := f.post(t, tt.path, jsonHeader, sized(tt.size))
		if resp.StatusCode != tt.want {
			t.Errorf("%s with %d bytes: status %d, want %d", tt.path, tt.size, resp.StatusCode, tt.want)
		}
		if tt.size <= 64<<10 {
			continue
		}
		if got := strings.Join(nativeOrDropIn(t, tt.path, resp, body), "|"); got != "body: must be at most 65536 bytes" {
			t.Errorf("%s: %s", tt.path, got)
		}
	}
}

func TestLargestToken(t *testing.T) {
	t.Parallel()
	f := startFacade(t, revokesAll)
	for size, want := range map[int]int{16 << 10: http.StatusNoContent, 16<<10 + 1: http.StatusBadRequest} {
		resp, _ := f.post(t, dropInPath, jsonHeader, []byte(`{"token":"`+strings.Repeat("a", size)+`"}`))
		if resp.StatusCode != want {
			t.Errorf("a token of %d bytes: status %d, want %d", size, resp.StatusCode, want)
		}
	}
}

// The gateway would make metadata of these, and a deadline of one.
func TestNoInjection(t *testing.T) {
	t.Parallel()
	got := make(chan slashid.Request, 1)
	hasDeadline := make(chan bool, 1)
	f := startFacade(t, upstreamtest.Func(func(ctx context.Context, req slashid.Request) slashid.Result {
		_, ok := ctx.Deadline()
		hasDeadline <- ok && req.Timeout.Seconds() < 30
		got <- req
		return slashid.Result{Status: http.StatusNoContent, Sent: true}
	}))
	for _, path := range []string{nativePath, dropInPath} {
		resp, body := f.post(t, path, http.Header{
			"Content-Type": {"application/json"},
			"Grpc-Timeout": {"1m"},
			"Grpc-Metadata-Slashid-Required-Consistency":         {"all_regions"},
			"Grpc-Metadata-Slashid-Required-Consistency-Timeout": {"7"},
			"Grpc-Metadata-Slashid-Sdkversion":                   {"1"},
			"Grpc-Metadata-Anything-Bin":                         {"!!!"},
			"Anything-Bin":                                       {"!!!"},
			"X-Forwarded-For":                                    {"1.2.3.4"},
		}, []byte(`{"token":"a.b.c"}`))
		if resp.StatusCode/100 != 2 {
			t.Fatalf("%s: status %d: %s", path, resp.StatusCode, body)
		}
		if req := <-got; req.Consistency != slashid.LocalRegion || req.Timeout.Seconds() != 30 || req.SDKVersion != "" {
			t.Errorf("%s: headers became metadata: %s, %s, %q", path, req.Consistency, req.Timeout, req.SDKVersion)
		}
		if <-hasDeadline {
			t.Errorf("%s: a header became the call's deadline", path)
		}
	}
}

// Metadata cannot hold such values, and the gateway would pass over them: a client
// that asked for all regions would be served the local one.
func TestHeadersThatMetadataCannotHold(t *testing.T) {
	t.Parallel()
	f := startFacade(t, neverCalled(t))
	for _, path := range []string{nativePath, dropInPath} {
		for _, name := range []string{
			"SlashID-Required-Consistency", "SlashID-Required-Consistency-Timeout", "SlashID-SdkVersion",
			"SlashID-API-Key", "SlashID-OrgID", "Authorization",
		} {
			header := jsonHeader.Clone()
			header.Set(name, "all_regions\xe9")
			resp, body := f.post(t, path, header, []byte(`{"token":"a.b.c"}`))
			if resp.StatusCode != http.StatusBadRequest {
				t.Errorf("%s, %s: status %d, want 400", path, name, resp.StatusCode)
			}
			want := strings.ToLower(name) + ": must be printable ASCII"
			if got := strings.Join(nativeOrDropIn(t, path, resp, body), "|"); got != want {
				t.Errorf("%s, %s: %s", path, name, got)
			}
		}
	}
}

// A broken trace is lost, and the token dies.
func TestTraceThatMetadataCannotHold(t *testing.T) {
	t.Parallel()
	f := startFacade(t, revokesAll)
	const whole = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
	for _, values := range [][]string{{"\xe9"}, {"\xe9", whole}, {whole, "\xe9"}} {
		header := jsonHeader.Clone()
		header["Traceparent"] = values
		if resp, body := f.post(t, dropInPath, header, []byte(`{"token":"a.b.c"}`)); resp.StatusCode != http.StatusNoContent {
			t.Errorf("%q: status %d: %s", values, resp.StatusCode, body)
		}
	}
}

// A header that is repeated with one value is one header; with two it is a
// contradiction.
func TestRepeatedHeaders(t *testing.T) {
	t.Parallel()
	f := startFacade(t, revokesAll)
	header := jsonHeader.Clone()
	header["Slashid-Required-Consistency"] = []string{"all_regions", "all_regions"}
	if resp, body := f.post(t, dropInPath, header, []byte(`{"token":"a.b.c"}`)); resp.StatusCode != http.StatusNoContent {
		t.Errorf("status %d: %s", resp.StatusCode, body)
	}
	header["Slashid-Required-Consistency"] = []string{"all_regions", "local_region"}
	resp, body := f.post(t, dropInPath, header, []byte(`{"token":"a.b.c"}`))
	if got := strings.Join(dropInMessages(t, resp, body), "|"); got != "slashid-required-consistency: must be given once" {
		t.Errorf("status %d: %s", resp.StatusCode, got)
	}
}

package server_test

import (
	"context"
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	statuspb "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"

	quashv1 "github.com/quashdev/quash/gen/quash/v1"
	"github.com/quashdev/quash/internal/upstreamtest"
	"github.com/quashdev/quash/service"
	"github.com/quashdev/quash/service/server"
	"github.com/quashdev/quash/service/slashid"
)

var revokeABC = []byte(`{"token":"a.b.c"}`)

// nativeViolations returns the violations in an error of the native endpoint.
func nativeViolations(t *testing.T, resp *http.Response, body []byte) (texts []string) {
	t.Helper()
	st := &statuspb.Status{}
	if err := protojson.Unmarshal(body, st); err != nil || resp.Header.Get("Content-Type") != "application/json" {
		t.Fatalf("%v in %s, a %s", err, body, resp.Header.Get("Content-Type"))
	}
	for _, d := range status.FromProto(st).Details() {
		if bad, ok := d.(*errdetails.BadRequest); ok {
			for _, v := range bad.GetFieldViolations() {
				texts = append(texts, v.GetField()+": "+v.GetDescription())
			}
		}
	}
	if want := strings.Join(texts, "; "); st.GetMessage() != want {
		t.Errorf("message %q, want %q", st.GetMessage(), want)
	}
	return texts
}

func dropInMessages(t *testing.T, resp *http.Response, body []byte) (texts []string) {
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
	for _, one := range e.Errors {
		if one.HTTPCode != resp.StatusCode {
			t.Errorf("httpcode %d in an answer with status %d", one.HTTPCode, resp.StatusCode)
		}
		texts = append(texts, one.Message)
	}
	return texts
}

// expectProblem checks the HTTP status of a response and its violations.
func expectProblem(t *testing.T, resp *http.Response, body []byte, httpStatus int, want string) {
	t.Helper()
	messages := nativeViolations
	if resp.Request.URL.Path == dropInPath {
		messages = dropInMessages
	}
	request := resp.Request.Method + " " + resp.Request.URL.Path
	if got := strings.Join(messages(t, resp, body), "|"); resp.StatusCode != httpStatus || got != want {
		t.Errorf("%s: %d %s, want %d %s", request, resp.StatusCode, got, httpStatus, want)
	}
	if strings.Contains(string(body), "secret") {
		t.Errorf("%s: the answer repeats the request: %s", request, body)
	}
}

func TestBodies(t *testing.T) {
	t.Parallel()
	f := startFacade(t, neverCalled(t))
	const (
		unknownMembers = "body: must have no members other than token, consistency, timeout, allowInvalid"
		otherCase      = "token: must be spelled in lower case, and given once"
		empty          = "body: must not be empty: send a JSON object"
		notAnObject    = "body: must be a JSON object"
		unreadable     = "body: must be a JSON object in UTF-8, with no repeated member and no number out of range"
		twice          = "token: must be given once"
		badToken       = "token: must be 1 to 16384 characters of A-Z a-z 0-9 - _ ."
		badConsistency = "consistency: must be CONSISTENCY_LOCAL_REGION or CONSISTENCY_ALL_REGIONS"
		badTimeout     = `timeout: must be a duration from 1s to 120s, such as "30s"`
	)
	for _, tt := range []struct{ name, path, body, want string }{
		{"empty", nativePath, "", empty},
		{"broken", nativePath, `{"token":`, "body: must be valid JSON, with a syntax error at byte 9 of 9"},
		{"an array", nativePath, `[]`, notAnObject},
		{"null", nativePath, `null`, notAnObject},
		{"a string", nativePath, `"secret.secret.secret"`, notAnObject},
		{"followed by another", nativePath, `{"token":"secret.secret.secret"} {}`, "body: must be valid JSON, with a syntax error at byte 34 of 35"},
		{"an unknown member", nativePath, `{"token":"a","secret.secret.secret":1}`, unknownMembers},
		{"a member in another case", nativePath, `{"Token":"secret.secret.secret"}`, unknownMembers},
		{"a member twice", nativePath, `{"token":"secret.secret.secret","token":"b"}`, twice},
		{"two names of one member", nativePath, `{"token":"a","allow_invalid":true,"allowInvalid":true}`, "allow_invalid: must be given once"},
		{"not UTF-8", nativePath, "{\"token\":\"secret.secret.secret\xff\"}", badToken},
		{"a token of another type", nativePath, `{"token":["secret.secret.secret"]}`, badToken},
		{"a level of another name", nativePath, `{"token":"a","consistency":"secret.secret.secret"}`, badConsistency},
		{"a level without a name", nativePath, `{"token":"a","consistency":3}`, badConsistency},
		{"a level out of range", nativePath, `{"token":"a","consistency":1e99}`, badConsistency},
		{"a timeout of another form", nativePath, `{"token":"a","timeout":30}`, badTimeout},
		{"a timeout with another unit", nativePath, `{"token":"a","timeout":"1m"}`, badTimeout},
		{"a negative timeout", nativePath, `{"token":"a","timeout":"-1s"}`, badTimeout},
		{"a timeout out of range", nativePath, `{"token":"a","timeout":"99999999999999999999s"}`, badTimeout},
		{"a text for true", nativePath, `{"token":"a","allowInvalid":"secret.secret.secret"}`, "allow_invalid: must be true or false"},
		{
			"several things", nativePath, `{"y":1,"token":1,"secret.secret.secret":2,"timeout":"secret.secret.secret","consistency":[]}`,
			unknownMembers + "|" + badToken + "|" + badTimeout + "|" + badConsistency,
		},
		{"several rules", nativePath, `{"timeout":"121s","consistency":3}`, badToken + "|" + badConsistency + "|" + badTimeout},

		{"empty, drop-in", dropInPath, "", empty},
		{"broken, drop-in", dropInPath, `{"token":"secret.secret.secret"`, "body: must be valid JSON, with a syntax error at byte 31 of 31"},
		{"an array, drop-in", dropInPath, `["secret.secret.secret"]`, notAnObject},
		{"followed by another, drop-in", dropInPath, `{"token":"secret.secret.secret"}{}`, "body: must be valid JSON, with a syntax error at byte 33 of 34"},
		{"no token", dropInPath, `{"consistency":"x"}`, badToken},
		{"a null token", dropInPath, `{"token":null}`, badToken},
		{"a number for a token", dropInPath, `{"token":5}`, badToken},
		{"a token in another case", dropInPath, `{"TOKEN":"secret.secret.secret"}`, otherCase},
		{"a second token in another case", dropInPath, `{"token":"a.b.c","Token":"secret.secret.secret"}`, otherCase},
		{"a token with a line break", dropInPath, `{"token":"secret.\nsecret"}`, badToken},
		{"not UTF-8, drop-in", dropInPath, "{\"token\":\"secret\xff\"}", unreadable},
		{"another member twice, drop-in", dropInPath, `{"token":"a","x":"secret.secret.secret","x":1}`, unreadable},
		{"a member twice, drop-in", dropInPath, `{"token":"secret.secret.secret","token":"b"}`, twice},
		{"a member twice, once escaped", dropInPath, `{"token":"secret.secret.secret","\u0074oken":"b"}`, twice},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			resp, body := f.post(t, tt.path, jsonHeader, []byte(tt.body))
			expectProblem(t, resp, body, http.StatusBadRequest, tt.want)
		})
	}
}

// SlashID's contract has one member. Other members are ignored, even those that the native
// endpoint reads.
func TestDropInIgnoresUnknownMembers(t *testing.T) {
	t.Parallel()
	asked := make(chan slashid.Request, 1)
	f := startFacade(t, upstreamtest.Func(func(_ context.Context, req slashid.Request) slashid.Result {
		asked <- req
		return slashid.Result{Status: http.StatusBadRequest, Envelope: true, Sent: true}
	}))
	resp, _ := f.post(t, dropInPath, http.Header{}, []byte(
		`{"x":{"y":[1]},"consistency":"CONSISTENCY_ALL_REGIONS","timeout":"7s","allowInvalid":true,"allow_invalid":true,"token":"a.b.c"}`))
	if resp.StatusCode != http.StatusBadRequest {
		t.Errorf("status %d, want 400", resp.StatusCode)
	}
	if req := <-asked; req.Token.Reveal() != "a.b.c" || req.Consistency != slashid.LocalRegion || req.Timeout.Seconds() != 30 {
		t.Errorf("upstream was asked for %s within %s", req.Consistency, req.Timeout)
	}
}

func TestMethodsAndPaths(t *testing.T) {
	t.Parallel()
	f := startFacade(t, neverCalled(t))
	// None of these headers turns another method into a POST.
	header := http.Header{"X-Http-Method-Override": {http.MethodPost}, "Content-Type": {"application/x-www-form-urlencoded"}}
	for _, path := range []string{nativePath, dropInPath} {
		for _, method := range []string{http.MethodGet, http.MethodHead, http.MethodPut, http.MethodDelete, http.MethodPatch, http.MethodOptions} {
			resp, body := f.request(t, method, f.URL+path, header, nil)
			if resp.StatusCode != http.StatusMethodNotAllowed || resp.Header.Get("Allow") != http.MethodPost {
				t.Errorf("%s %s: status %d, Allow %q", method, path, resp.StatusCode, resp.Header.Get("Allow"))
			}
			if method != http.MethodHead {
				expectProblem(t, resp, body, http.StatusMethodNotAllowed, "method: must be POST")
			}
		}
	}
	for _, path := range []string{
		"/", "/v1/tokens", "/v1/tokens:revoke/", "/v1/tokens:other", "//token/revoke", "/token/revoke/", "/token/./revoke",
		"/token", "/quash.v1.TokenService/Revoke", "/metrics", "/debug/pprof/", "/readyz",
	} {
		resp, body := f.post(t, path, jsonHeader, revokeABC)
		expectProblem(t, resp, body, http.StatusNotFound, "path: must be /v1/tokens:revoke or /token/revoke")
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
		if resp, body := f.post(t, nativePath, header, revokeABC); resp.StatusCode != want {
			t.Errorf("%q: status %d, want %d: %s", contentType, resp.StatusCode, want, body)
		}
	}
}

func TestLargestBody(t *testing.T) {
	t.Parallel()
	f := startFacade(t, revokesAll)
	// White space pads the same request to any size.
	sized := func(size int) []byte {
		return append([]byte(strings.Repeat(" ", size-len(revokeABC))), revokeABC...)
	}
	token := func(size int) []byte { return []byte(`{"token":"` + strings.Repeat("a", size) + `"}`) }
	for _, tt := range []struct {
		path    string
		body    []byte
		want    int
		problem string
	}{
		{nativePath, sized(64 << 10), http.StatusOK, ""},
		{nativePath, sized(64<<10 + 1), http.StatusRequestEntityTooLarge, "body: must be at most 65536 bytes"},
		{dropInPath, sized(64 << 10), http.StatusNoContent, ""},
		{dropInPath, sized(64<<10 + 1), http.StatusBadRequest, "body: must be at most 65536 bytes"},
		{dropInPath, token(16 << 10), http.StatusNoContent, ""},
		{dropInPath, token(16<<10 + 1), http.StatusBadRequest, "token: must be 1 to 16384 characters of A-Z a-z 0-9 - _ ."},
	} {
		resp, body := f.post(t, tt.path, jsonHeader, tt.body)
		if tt.problem != "" {
			expectProblem(t, resp, body, tt.want, tt.problem)
		} else if resp.StatusCode != tt.want {
			t.Errorf("%s with %d bytes: status %d, want %d", tt.path, len(tt.body), resp.StatusCode, tt.want)
		}
	}
}

// Metadata cannot hold these values. The gateway would drop them: a client that asked for all
// regions would get the local region.
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
			resp, body := f.post(t, path, header, revokeABC)
			expectProblem(t, resp, body, http.StatusBadRequest, strings.ToLower(name)+": must be printable ASCII")
		}
	}
}

// An invalid trace header is dropped, and the token is revoked. A repeated header with equal
// values counts once; with different values it is an error.
func TestRepeatedHeaders(t *testing.T) {
	t.Parallel()
	f := startFacade(t, revokesAll)
	const whole = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
	for _, header := range []http.Header{
		{"Traceparent": {"\xe9"}},
		{"Traceparent": {"\xe9", whole}},
		{"Traceparent": {whole, "\xe9"}},
		{"Slashid-Required-Consistency": {"all_regions", "all_regions"}},
	} {
		if resp, body := f.post(t, dropInPath, header, revokeABC); resp.StatusCode != http.StatusNoContent {
			t.Errorf("%q: status %d: %s", header, resp.StatusCode, body)
		}
	}
	resp, body := f.post(t, dropInPath, http.Header{"Slashid-Required-Consistency": {"all_regions", "local_region"}}, revokeABC)
	expectProblem(t, resp, body, http.StatusBadRequest, "slashid-required-consistency: must be given once")
}

// otherHeaders are headers that must not reach SlashID: those of proxies, browsers and gRPC
// clients, other credentials, misspelled names of SlashID's headers, and headers that the
// gateway would turn into metadata or a deadline.
var otherHeaders = []string{
	"Accept", "Accept-Language", "Anything-Bin", "Baggage", "Cache-Control", "Client-Ip", "Cookie", "Forwarded", "From", "Grpc-Metadata-Anything-Bin",
	"Grpc-Metadata-Authorization", "Grpc-Metadata-Slashid-Api-Key", "Grpc-Metadata-Slashid-Required-Consistency", "Grpc-Metadata-Slashid-Sdkversion",
	"Grpc-Previous-Rpc-Attempts", "Grpc-Timeout", "Idempotency-Key", "If-Match", "If-None-Match", "Max-Forwards", "Origin", "Prefer", "Proxy-Authorization", "Range", "Referer",
	"Sec-Fetch-Mode", "Slashid-Api-Keys", "Slashid-Apikey", "Slashid-Correlation-Id", "Slashid-Org-Id", "Slashid-Required",
	"Slashid-Required-Consistency-Timeouts", "Slashid-Sdk-Version", "Slashid-Token", "Slashid_api_key", "Traceparent", "Tracestate",
	"User-Agent", "Via", "X-Api-Key", "X-Auth-Token", "X-B3-Traceid", "X-Client-Cert", "X-Correlation-Id", "X-Csrf-Token", "X-Envoy-Retry-On",
	"X-Forwarded-Client-Cert", "X-Forwarded-For", "X-Forwarded-Host", "X-Http-Method-Override", "X-Original-Url", "X-Real-Ip", "X-Request-Id",
	"X-Rewrite-Url", "X-Slashid-Api-Key", "X-Ssl-Client-Cert",
}

// Only the headers of SlashID's contract reach SlashID. The caller's credentials do not if
// quash has a key of its own.
func TestHeadersThatReachUpstream(t *testing.T) {
	t.Parallel()
	for name, forward := range map[string]bool{"with an API key": false, "without one": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			received := make(chan http.Header, 1)
			url := serveUpstream(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				received <- r.Header
				w.WriteHeader(http.StatusNoContent)
			}))
			f := startFacade(t, newUpstream(t, url), func(svc *service.Config, _ *server.Config) {
				if forward {
					svc.APIKey = nil
				}
			})
			const theirs = "of-the-caller"
			header := http.Header{
				"Slashid-Required-Consistency":         {"all_regions"},
				"Slashid-Required-Consistency-Timeout": {"9"},
				"Slashid-Sdkversion":                   {"1.4.1"},
				"Slashid-Api-Key":                      {theirs},
				"Slashid-Orgid":                        {theirs},
				"Authorization":                        {theirs},
			}
			want := []string{
				"Accept", "Accept-Encoding", "Content-Length", "Content-Type", "Slashid-Api-Key", "Slashid-Required-Consistency",
				"Slashid-Required-Consistency-Timeout", "Slashid-Sdkversion", "User-Agent",
			}
			var credentials []string
			if forward {
				credentials = []string{"Authorization", "Slashid-Api-Key", "Slashid-Orgid"}
				want = slices.Compact(slices.Sorted(slices.Values(slices.Concat(want, credentials))))
			}
			for _, name := range otherHeaders {
				header.Set(name, theirs)
			}
			check := func(endpoint string) {
				got := <-received
				if names := slices.Sorted(maps.Keys(got)); !slices.Equal(names, want) {
					t.Errorf("%s: upstream got %q, want %q", endpoint, names, want)
				}
				for name := range got {
					if (got.Get(name) == theirs) != slices.Contains(credentials, name) {
						t.Errorf("%s: upstream got %s: %q", endpoint, name, got.Get(name))
					}
				}
			}
			md := metadata.MD{}
			for name, values := range header {
				if name != "User-Agent" && !strings.HasPrefix(name, "Grpc-") { // gRPC's own
					md.Set(strings.ToLower(name), values...)
				}
			}
			if _, err := f.grpc.Revoke(metadata.NewOutgoingContext(t.Context(), md), &quashv1.RevokeRequest{Token: "a.b.c"}); err != nil {
				t.Fatal(err)
			}
			check("gRPC")
			header.Set("Content-Type", "application/json")
			for _, path := range []string{nativePath, dropInPath} {
				if resp, body := f.post(t, path, header, revokeABC); resp.StatusCode/100 != 2 {
					t.Fatalf("%s: %d %s", path, resp.StatusCode, body)
				}
				check(path)
			}
		})
	}
}

package server_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"math"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v4"
	"google.golang.org/genproto/googleapis/rpc/code"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"

	quashv1 "github.com/quashdev/quash/gen/quash/v1"
	"github.com/quashdev/quash/internal/quashtest"
	"github.com/quashdev/quash/service"
	"github.com/quashdev/quash/service/server"
)

// contractCase is one file of testdata/contract: a request, what upstream does, and the
// answer of every endpoint. A case states the contract in full, as callers see it, instead of
// deriving it from the outcome table.
type contractCase struct {
	// Why says why the case exists.
	Why string
	// Endpoints limits the case to some of grpc, native and drop_in, if the others cannot
	// express the request or cannot see the answer.
	Endpoints []string

	Config struct {
		// DeadlineMargin and AnswerGrace are service.Config's.
		DeadlineMargin time.Duration `yaml:"deadline_margin"`
		AnswerGrace    time.Duration `yaml:"answer_grace"`
		// ForwardCredentials runs quash without an API key of its own.
		ForwardCredentials bool `yaml:"forward_credentials"`
	}

	Request struct {
		// Message is a RevokeRequest in its JSON form. For the drop-in endpoint its token
		// is sent in the body, its consistency and timeout in headers.
		Message map[string]any
		// Headers are sent as HTTP headers or as metadata.
		Headers map[string]string
		// Deadline is the deadline of the gRPC call.
		Deadline time.Duration
	}

	Upstream struct {
		// Answer is the upstream's response.
		Answer struct {
			Status  int
			Headers map[string]string
			Body    string
		}
		// Fault replaces Answer: refused (no listener), reset (after the request was
		// read) or stalled (never a response).
		Fault string
		// Attempts is the number of requests that upstream must get; 0 means one.
		Attempts int
		// Request is the request that upstream must get, in full: headers that are not
		// listed must be absent. If it is nil, upstream must get no request.
		Request *struct {
			Headers map[string]string
			Body    string
		}
	}

	Answer struct {
		// Response is the RevokeResponse of a success.
		Response map[string]any
		// Error is the failure.
		Error *struct {
			Code       string
			Message    string
			Reason     string
			Failure    map[string]any
			RequestID  string              `yaml:"request_id"`
			RetryDelay *time.Duration      `yaml:"retry_delay"`
			Violations []map[string]string // with field and description
		}
		// Native and DropIn are the HTTP statuses.
		Native int
		DropIn int `yaml:"dropin"`
		// Headers must be in the responses of both REST endpoints; "" means absent.
		Headers map[string]string
	}
}

func TestContract(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/contract/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no contract cases: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".yaml"), func(t *testing.T) {
			t.Parallel()
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			var c contractCase
			if err := yaml.Load(text, &c, yaml.WithKnownFields()); err != nil {
				t.Fatal(err)
			}
			if c.Why == "" {
				t.Error("the case has no why")
			}
			endpoints := c.Endpoints
			if len(endpoints) == 0 {
				endpoints = quashtest.Endpoints
			}
			for _, endpoint := range endpoints {
				t.Run(endpoint, func(t *testing.T) {
					t.Parallel()
					c.run(t, endpoint)
				})
			}
		})
	}
}

// run takes the case through one endpoint, with an upstream and a server of its own.
func (c *contractCase) run(t *testing.T, endpoint string) {
	t.Helper()
	upstream := &scriptedUpstream{c, make(chan receivedRequest, 10)}
	url := "http://" + refusingAddr(t)
	if c.Upstream.Fault != "refused" {
		url = serveUpstream(t, upstream)
	}
	f := startFacade(t, newUpstream(t, url), func(svc *service.Config, _ *server.Config) {
		svc.AnswerGrace = c.Config.AnswerGrace
		if c.Config.DeadlineMargin != 0 {
			svc.DeadlineMargin = c.Config.DeadlineMargin
		}
		if c.Config.ForwardCredentials {
			svc.APIKey = nil
		}
	})
	switch endpoint {
	case quashtest.GRPC:
		c.overGRPC(t, f)
	case quashtest.Native:
		c.overNative(t, f)
	case quashtest.DropIn:
		c.overDropIn(t, f)
	default:
		t.Fatalf("unknown endpoint %q", endpoint)
	}
	upstream.check(t)
}

func (c *contractCase) overGRPC(t *testing.T, f *facade) {
	t.Helper()
	ctx := metadata.NewOutgoingContext(t.Context(), metadata.New(c.Request.Headers))
	if c.Request.Deadline != 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, c.Request.Deadline)
		defer cancel()
	}
	var trailer metadata.MD
	resp, err := f.grpc.Revoke(ctx, fromYAML(t, c.Request.Message, &quashv1.RevokeRequest{}), grpc.Trailer(&trailer))
	if c.Answer.Error == nil {
		if err != nil {
			t.Fatalf("Revoke: %v", status.Convert(err).Proto())
		}
		diff(t, "response", fromYAML(t, c.Answer.Response, &quashv1.RevokeResponse{}), resp)
		return
	}
	st, err := protojson.Marshal(status.Convert(err).Proto())
	if err != nil {
		t.Fatal(err)
	}
	c.checkStatus(t, st)
	pushback := "-1"
	if c.Answer.Error.RetryDelay != nil {
		pushback = strconv.FormatInt(c.Answer.Error.RetryDelay.Milliseconds(), 10)
	}
	diff(t, "pushback", []string{pushback}, trailer.Get("grpc-retry-pushback-ms"))
}

func (c *contractCase) overNative(t *testing.T, f *facade) {
	t.Helper()
	header := jsonHeader.Clone()
	for k, v := range c.Request.Headers {
		header.Set(k, v)
	}
	resp, body := f.post(t, nativePath, header, toJSON(t, c.Request.Message))
	if resp.StatusCode != c.Answer.Native {
		t.Errorf("HTTP status %d, want %d", resp.StatusCode, c.Answer.Native)
	}
	c.checkHeaders(t, resp.StatusCode, resp.Header)
	if c.Answer.Error == nil {
		got := &quashv1.RevokeResponse{}
		decode(t, body, got)
		diff(t, "response", fromYAML(t, c.Answer.Response, &quashv1.RevokeResponse{}), got)
		return
	}
	c.checkStatus(t, body)
}

func (c *contractCase) overDropIn(t *testing.T, f *facade) {
	t.Helper()
	header := http.Header{}
	members := map[string]any{}
	for name, value := range c.Request.Message {
		switch name {
		case "token":
			members["token"] = value
		case "consistency":
			level, _ := value.(string)
			header.Set("SlashID-Required-Consistency", strings.ToLower(strings.TrimPrefix(level, "CONSISTENCY_")))
		case "timeout":
			timeout, _ := value.(string)
			header.Set("SlashID-Required-Consistency-Timeout", strings.TrimSuffix(timeout, "s"))
		default:
			t.Fatalf("SlashID's contract has no %s", name)
		}
	}
	for k, v := range c.Request.Headers {
		header.Set(k, v)
	}
	resp, body := f.post(t, dropInPath, header, toJSON(t, members))
	if resp.StatusCode != c.Answer.DropIn {
		t.Errorf("HTTP status %d, want %d", resp.StatusCode, c.Answer.DropIn)
	}
	c.checkHeaders(t, resp.StatusCode, resp.Header)
	if c.Answer.Error == nil {
		if len(body) != 0 || resp.Header.Get("Content-Type") != "" {
			t.Errorf("a success has the body %q of type %q, want neither", body, resp.Header.Get("Content-Type"))
		}
		return
	}
	messages := []string{c.Answer.Error.Message}
	if violations := c.Answer.Error.Violations; len(violations) > 0 {
		messages = nil
		for _, v := range violations {
			messages = append(messages, v["field"]+": "+v["description"])
		}
	}
	// The envelope in the form of SlashID's reference.
	var errors []string
	for _, m := range messages {
		errors = append(errors, fmt.Sprintf(`{"httpcode":%d,"message":%s}`, c.Answer.DropIn, toJSON(t, m)))
	}
	diff(t, "envelope", `{"meta":{"pagination":{"limit":0,"offset":0,"total_count":0}},"errors":[`+strings.Join(errors, ",")+`]}`, string(body))
	if got := resp.Header.Get("Quash-Error-Reason"); got != c.Answer.Error.Reason {
		t.Errorf("Quash-Error-Reason: %q, want %q", got, c.Answer.Error.Reason)
	}
	state, _ := c.Answer.Error.Failure["state"].(string)
	if got, want := resp.Header.Get("Quash-Revocation-State"), strings.TrimPrefix(state, "REVOCATION_STATE_"); got != want {
		t.Errorf("Quash-Revocation-State: %q, want %q", got, want)
	}
}

func (c *contractCase) checkHeaders(t *testing.T, status int, got http.Header) {
	t.Helper()
	retryAfter := ""
	if c.Answer.Error != nil && c.Answer.Error.RetryDelay != nil {
		retryAfter = strconv.Itoa(int(math.Ceil(c.Answer.Error.RetryDelay.Seconds())))
	}
	if status == http.StatusRequestTimeout {
		retryAfter = "1" // or OkHttp resends the request
	}
	if got.Get("Retry-After") != retryAfter {
		t.Errorf("Retry-After: %q, want %q", got.Get("Retry-After"), retryAfter)
	}
	for name, want := range c.Answer.Headers {
		if got.Get(name) != want {
			t.Errorf("header %s: %q, want %q", name, got.Get(name), want)
		}
	}
}

// checkStatus compares a google.rpc.Status with the case's error, in their JSON form.
func (c *contractCase) checkStatus(t *testing.T, got []byte) {
	t.Helper()
	e := c.Answer.Error
	detail := func(name string, fields map[string]any) map[string]any {
		fields["@type"] = "type.googleapis.com/" + name
		return fields
	}
	details := []any{
		detail("google.rpc.ErrorInfo", map[string]any{"reason": e.Reason, "domain": "quash"}),
		detail("quash.v1.RevokeFailure", maps.Clone(e.Failure)),
	}
	if len(e.Violations) > 0 {
		details = append(details, detail("google.rpc.BadRequest", map[string]any{"fieldViolations": e.Violations}))
	}
	if e.RequestID != "" {
		details = append(details, detail("google.rpc.RequestInfo", map[string]any{"requestId": e.RequestID}))
	}
	if e.RetryDelay != nil {
		details = append(details, detail("google.rpc.RetryInfo", map[string]any{"retryDelay": strconv.FormatFloat(e.RetryDelay.Seconds(), 'f', -1, 64) + "s"}))
	}
	want := map[string]any{"code": code.Code_value[e.Code], "message": e.Message, "details": details}

	var status struct {
		Code    int              `json:"code"`
		Message string           `json:"message"`
		Details []map[string]any `json:"details"`
	}
	if err := json.Unmarshal(got, &status); err != nil {
		t.Fatalf("%v in %s", err, got)
	}
	for _, d := range status.Details {
		delete(d, "elapsed") // differs from run to run
	}
	diff(t, "status", asJSON(t, want), asJSON(t, status))
}

// asJSON converts v to plain maps, slices and values, through JSON.
func asJSON(t *testing.T, v any) (plain any) {
	t.Helper()
	if err := json.Unmarshal(toJSON(t, v), &plain); err != nil {
		t.Fatal(err)
	}
	return plain
}

// scriptedUpstream responds as its case says and records its requests.
type scriptedUpstream struct {
	c        *contractCase
	requests chan receivedRequest
}

type receivedRequest struct {
	method, path, body string
	header             http.Header
}

func (u *scriptedUpstream) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	u.requests <- receivedRequest{r.Method, r.URL.Path, string(body), r.Header}
	switch u.c.Upstream.Fault {
	case "reset":
		panic(http.ErrAbortHandler)
	case "stalled":
		<-r.Context().Done()
		return
	}
	for k, v := range u.c.Upstream.Answer.Headers {
		w.Header().Set(k, v)
	}
	w.WriteHeader(u.c.Upstream.Answer.Status)
	_, _ = io.WriteString(w, u.c.Upstream.Answer.Body)
}

// check compares the recorded requests with the case.
func (u *scriptedUpstream) check(t *testing.T) {
	t.Helper()
	want, wantCalls := u.c.Upstream.Request, max(u.c.Upstream.Attempts, 1)
	if want == nil || u.c.Upstream.Fault == "refused" {
		wantCalls = 0
	}
	if got := len(u.requests); got != wantCalls {
		t.Fatalf("upstream was called %d times, want %d", got, wantCalls)
	}
	for range wantCalls {
		got := <-u.requests
		if got.method != http.MethodPost || got.path != "/token/revoke" {
			t.Errorf("upstream got %s %s", got.method, got.path)
		}
		wantHeader := http.Header{
			"Accept":          {"application/json"},
			"Accept-Encoding": {"identity"},
			"Content-Type":    {"application/json"},
			"Content-Length":  {strconv.Itoa(len(want.Body))},
			"User-Agent":      {"quash"},
		}
		if !u.c.Config.ForwardCredentials {
			wantHeader.Set("SlashID-API-Key", testAPIKey)
		}
		for k, v := range want.Headers {
			wantHeader.Set(k, v)
		}
		diff(t, "upstream request's headers", wantHeader, got.header)
		diff(t, "upstream request's body", want.Body, got.body)
	}
}

func diff(t *testing.T, what string, want, got any) {
	t.Helper()
	if d := cmp.Diff(want, got, protocmp.Transform()); d != "" {
		t.Errorf("%s (-want +got):\n%s", what, d)
	}
}

func toJSON(t *testing.T, v any) []byte {
	t.Helper()
	data, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// fromYAML converts a message in a case from its JSON form.
func fromYAML[M proto.Message](t *testing.T, v map[string]any, into M) M {
	t.Helper()
	decode(t, toJSON(t, v), into)
	return into
}

func decode(t *testing.T, data []byte, into proto.Message) {
	t.Helper()
	if err := protojson.Unmarshal(data, into); err != nil {
		t.Fatalf("%T: %v in %s", into, err, data)
	}
}

// TestContractIsComplete checks that every reason of the API has a case that shows it.
func TestContractIsComplete(t *testing.T) {
	t.Parallel()
	// These need more than one call, or the caller does not see them. Other tests show them.
	elsewhere := []string{
		"UNSPECIFIED",           // never sent
		"OVERLOADED",            // TestTooManyPending, TestTooManyInFlight of package service
		"UPSTREAM_CIRCUIT_OPEN", // TestBreaker of package service
		"CALLER_CANCELLED",      // TestCallerGoes of package service
		"SHUTTING_DOWN",         // TestDrain of package service
		"CALLER_NOT_ALLOWED",    // TestAllowedCallers
		"INTERNAL",              // TestPanic
	}
	files, err := filepath.Glob("testdata/contract/*.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var all []byte
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, text...)
	}
	for name := range quashv1.ErrorReason_value {
		reason := strings.TrimPrefix(name, "ERROR_REASON_")
		shown := bytes.Contains(all, []byte("reason: "+reason+"\n"))
		if shown == slices.Contains(elsewhere, reason) {
			t.Errorf("%s: has a case: %t", reason, shown)
		}
	}
}

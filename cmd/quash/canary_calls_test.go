package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	statuspb "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/types/known/durationpb"

	quashv1 "github.com/quashdev/quash/gen/quash/v1"
)

// target is a façade that runs, and a client of each of its doors.
type target struct {
	*child

	h     *hunt
	addrs map[string]string
	base  string // the URL of REST
	rpc   quashv1.TokenServiceClient
	http  *http.Client
	// forwards is whether calls go with credentials of their own.
	forwards bool
}

// serve waits until a façade serves, and returns it with clients that speak TLS as
// cfg has it, or plaintext.
func (h *hunt) serve(t *testing.T, c *child, cfg *tls.Config) *target {
	addrs, err := c.awaitServing()
	if err != nil {
		t.Fatal(err)
	}
	f := &target{child: c, h: h, addrs: addrs}
	f.connect(t, cfg)
	return f
}

func (f *target) connect(t *testing.T, cfg *tls.Config) {
	f.base = "http://" + f.addrs["HTTP"]
	creds := insecure.NewCredentials()
	if cfg != nil {
		f.base = "https://" + f.addrs["HTTP"]
		creds = credentials.NewTLS(cfg)
	}
	conn, err := grpc.NewClient(f.addrs["GRPC"], grpc.WithTransportCredentials(creds))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	f.rpc = quashv1.NewTokenServiceClient(conn)
	f.http = &http.Client{Transport: &http.Transport{TLSClientConfig: cfg.Clone(), ForceAttemptHTTP2: true}}
	t.Cleanup(f.http.CloseIdleConnections)
}

// as is the same façade with clients of another certificate.
func (f *target) as(t *testing.T, cfg *tls.Config) *target {
	other := *f
	other.connect(t, cfg)
	return &other
}

// call is a well-formed call. Its scene is what upstream does then.
type call struct {
	door, scene  string
	token        string        // the canary unless it is set
	timeout      time.Duration // SlashID's, where it is set
	allowInvalid bool
	id           string // as upstream sees it; see target.id
}

// told is what a caller was told.
type told struct {
	http   int // 0 over gRPC
	row    string
	reason string // of an error
}

// id makes what upstream knows a call by, and what it is to do with it. It goes
// along as the version of an SDK, which quash passes on.
func (f *target) id(scene string) string { return fmt.Sprintf("%s/%d", scene, f.h.next()) }

func (f *target) ask(ctx context.Context, c call) (told, error) {
	if c.token == "" {
		c.token = f.h.token
	}
	if c.id == "" {
		c.id = f.id(c.scene)
	}
	where := fmt.Sprintf("%s, %s, %s", f.name, c.door, c.id)
	header := map[string]string{"slashid-sdkversion": c.id}
	if f.forwards {
		header["slashid-api-key"] = f.h.callerKey
		header["authorization"] = f.h.authorization
		header["slashid-orgid"] = "an-organisation"
	}
	if c.door == doorGRPC {
		return f.askGRPC(ctx, c, where, header), nil
	}
	return f.askREST(ctx, c, where, header)
}

func (f *target) askGRPC(ctx context.Context, c call, where string, header map[string]string) told {
	req := &quashv1.RevokeRequest{Token: c.token, AllowInvalid: c.allowInvalid}
	if c.timeout != 0 {
		req.Timeout = durationpb.New(c.timeout)
	}
	var head, trailer metadata.MD
	resp, err := f.rpc.Revoke(metadata.NewOutgoingContext(ctx, metadata.New(header)), req, grpc.Header(&head), grpc.Trailer(&trailer))
	f.h.lookAtHeader(where, http.Header(head))
	f.h.lookAtHeader(where, http.Header(trailer))
	if err == nil {
		f.h.look("bodies", where, prototext.Format(resp))
		return told{row: outcomeOf(resp)}
	}
	return f.h.lookAtStatus(where, status.Convert(err))
}

func (f *target) askREST(ctx context.Context, c call, where string, header map[string]string) (told, error) {
	members := map[string]any{"token": c.token}
	switch {
	case c.timeout != 0 && c.door == doorNative:
		members["timeout"] = fmt.Sprintf("%.0fs", c.timeout.Seconds())
	case c.timeout != 0:
		header["slashid-required-consistency-timeout"] = fmt.Sprintf("%.0f", c.timeout.Seconds())
	}
	if c.allowInvalid {
		members["allow_invalid"] = true
	}
	body, err := json.Marshal(members)
	if err != nil {
		return told{}, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, f.base+paths[c.door], bytes.NewReader(body))
	if err != nil {
		return told{}, err
	}
	for name, value := range header {
		req.Header.Set(name, value)
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := f.http.Do(req)
	if err != nil {
		return told{}, err
	}
	return f.h.lookAtREST(where, c.door, resp)
}

// lookAtREST reads the answer of a REST door.
func (h *hunt) lookAtREST(where, door string, resp *http.Response) (told, error) {
	body, err := h.lookAtResponse(where, resp)
	if err != nil {
		return told{}, err
	}
	got := told{http: resp.StatusCode}
	switch {
	case door == doorDropIn:
		got.reason = resp.Header.Get("Quash-Error-Reason")
		got.row = got.reason + " " + resp.Header.Get("Quash-Revocation-State")
	case resp.StatusCode == http.StatusOK:
		var answer quashv1.RevokeResponse
		err = protojson.Unmarshal(body, &answer)
		got.row = outcomeOf(&answer)
	default:
		var answer statuspb.Status
		if err = protojson.Unmarshal(body, &answer); err == nil {
			got = h.lookAtStatus(where, status.FromProto(&answer))
			got.http = resp.StatusCode
		}
	}
	return got, err
}

// lookAtStatus reads an error, each of its details by itself.
func (h *hunt) lookAtStatus(where string, st *status.Status) told {
	h.look("status messages", where, st.Message())
	var got told
	state := ""
	for i, detail := range st.Details() {
		h.look("details", where, fmt.Sprint(detail))
		h.look("details, on the wire", where, string(st.Proto().GetDetails()[i].GetValue()))
		switch detail := detail.(type) {
		case *errdetails.ErrorInfo:
			got.reason = detail.GetReason()
		case *quashv1.RevokeFailure:
			state = strings.TrimPrefix(detail.GetState().String(), "REVOCATION_STATE_")
		}
	}
	got.row = fmt.Sprintf("%s %s %s", st.Code(), got.reason, state)
	return got
}

func outcomeOf(resp *quashv1.RevokeResponse) string {
	return strings.TrimPrefix(resp.GetOutcome().String(), "OUTCOME_")
}

// is reports whether a door's answer is that of a row. Drop-in tells no code but
// HTTP's, and of a success nothing else.
func (a told) is(door, row string) bool {
	if door != doorDropIn {
		return a.row == row
	}
	code, rest, isError := strings.Cut(row, " ")
	if !isError {
		return a.http == http.StatusNoContent
	}
	if a.reason == "CALLER_CREDENTIAL_REJECTED" {
		want := map[string]int{codes.Unauthenticated.String(): http.StatusUnauthorized, codes.PermissionDenied.String(): http.StatusForbidden}
		return a.row == rest && a.http == want[code]
	}
	return a.row == rest
}

// expect makes a call whose answer must be that of a row.
func (f *target) expect(t *testing.T, c call, row string) {
	got, err := f.ask(t.Context(), c)
	switch {
	case err != nil:
		t.Errorf("%s, %s, %s: %v", f.name, c.door, c.scene, err)
	case !got.is(c.door, row):
		t.Errorf("%s, %s, %s: %q (HTTP %s), want %q", f.name, c.door, c.scene, got.row, strconv.Itoa(got.http), row)
	default:
		f.h.reach(c.door, row)
	}
}

// hostOf is the address in a URL.
func hostOf(base string) string {
	u, err := url.Parse(base)
	if err != nil {
		return ""
	}
	return u.Host
}

package service

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"buf.build/go/protovalidate"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"

	quashv1 "github.com/quashdev/quash/gen/quash/v1"
	"github.com/quashdev/quash/internal/secrettest"
	"github.com/quashdev/quash/internal/upstreamtest"
	"github.com/quashdev/quash/service/slashid"
)

// The filter skips exactly the tokens that break no rule of the proto.
func TestTokensThatNeedNoValidation(t *testing.T) {
	t.Parallel()
	token := (&quashv1.RevokeRequest{}).ProtoReflect().Descriptor().Fields().ByName("token")
	tokens := []string{"", "AZaz09.-_", "a\n", "\u00fc", strings.Repeat("a", maxToken), strings.Repeat("a", maxToken+1)}
	for c := range 256 {
		tokens = append(tokens, "a"+string([]byte{byte(c)})+"b")
	}
	for _, text := range tokens {
		req := &quashv1.RevokeRequest{Token: text}
		if got, err := needsValidation(req.ProtoReflect(), token), protovalidate.Validate(req); got != (err != nil) {
			t.Errorf("%.20q needs validation: %t, but the rules say: %v", text, got, err)
		}
	}
}

// SlashID receives what the fields and headers of a request ask for.
func TestHeaders(t *testing.T) {
	t.Parallel()
	const consistency, timeout, sdkVersion = MetadataConsistency, MetadataConsistencyTimeout, MetadataSDKVersion
	all := quashv1.Consistency_CONSISTENCY_ALL_REGIONS
	seven := durationpb.New(7900 * time.Millisecond)
	for _, tt := range []struct {
		req     *quashv1.RevokeRequest
		headers []string
		want    string // level, timeout and SDK version, or the fields with violations
	}{
		{&quashv1.RevokeRequest{}, nil, "local_region 30s "},
		{&quashv1.RevokeRequest{Consistency: all, Timeout: seven}, nil, "all_regions 7s "},
		{&quashv1.RevokeRequest{}, []string{consistency, "all_regions", timeout, "007", sdkVersion, "1.2 3"}, "all_regions 7s 1.2 3"},
		{&quashv1.RevokeRequest{Consistency: all, Timeout: seven}, []string{consistency, "all_regions", timeout, "7"}, "all_regions 7s "},
		{&quashv1.RevokeRequest{}, []string{consistency, "all_regions", consistency, "all_regions"}, "all_regions 30s "},
		{&quashv1.RevokeRequest{Consistency: all, Timeout: seven}, []string{consistency, "local_region", timeout, "8"}, "consistency timeout"},
		{&quashv1.RevokeRequest{}, []string{consistency, "", timeout, "", sdkVersion, ""}, consistency + " " + timeout},
		{&quashv1.RevokeRequest{}, []string{consistency, "a", consistency, "b", timeout, "1", timeout, "2"}, consistency + " " + timeout},
		// A proxy has joined the lines.
		{&quashv1.RevokeRequest{}, []string{timeout, "5, 5", consistency, "all_regions,all_regions", sdkVersion, "1.2 , 1.2"}, "all_regions 5s 1.2"},
		{&quashv1.RevokeRequest{}, []string{timeout, "5, 5", timeout, "5"}, "local_region 5s "},
		{&quashv1.RevokeRequest{}, []string{timeout, "5, ,5,"}, "local_region 5s "},
		{&quashv1.RevokeRequest{}, []string{timeout, "5,"}, timeout},
		{&quashv1.RevokeRequest{}, []string{sdkVersion, "1.2, a fork", sdkVersion, "1.2, a fork"}, "local_region 30s 1.2, a fork"},
		{&quashv1.RevokeRequest{}, []string{timeout, "5, 6", consistency, "local_region, all_regions"}, consistency + " " + timeout},
		{&quashv1.RevokeRequest{}, []string{timeout, "5, 6", timeout, "5"}, timeout},
		{&quashv1.RevokeRequest{}, []string{sdkVersion, "1.2, a fork"}, "local_region 30s 1.2, a fork"},
		{&quashv1.RevokeRequest{}, []string{timeout, "121", sdkVersion, "\x7f"}, timeout + " " + sdkVersion},
		{&quashv1.RevokeRequest{}, []string{timeout, "18446744073709551623", sdkVersion, strings.Repeat("v", 65)}, timeout + " " + sdkVersion},
		{&quashv1.RevokeRequest{Timeout: &durationpb.Duration{Seconds: 121}}, []string{timeout, "+7"}, timeout + " timeout"},
	} {
		var asked string
		s := newService(t, upstreamtest.Func(func(_ context.Context, req slashid.Request) slashid.Result {
			asked = string(req.Consistency) + " " + req.Timeout.String() + " " + req.SDKVersion
			return slashid.Result{Status: http.StatusNoContent, Sent: req.BeforeSend()}
		}))
		tt.req.Token = "a"
		if _, err := s.Revoke(incoming(t, tt.headers...), tt.req); err != nil {
			var fields []string
			for _, v := range violationsOf(t, err) {
				fields = append(fields, v.GetField())
			}
			slices.Sort(fields)
			asked = strings.Join(fields, " ")
		}
		if asked != tt.want {
			t.Errorf("%v with %q: got %q, want %q", tt.req, tt.headers, asked, tt.want)
		}
	}
}

// Over gRPC, too, the message of an error names each wrong field once and says what it must
// be, whatever is wrong with it.
func TestFieldRules(t *testing.T) {
	t.Parallel()
	const (
		token       = "token: must be 1 to 16384 characters of A-Z a-z 0-9 - _ ."
		consistency = "consistency: must be CONSISTENCY_LOCAL_REGION or CONSISTENCY_ALL_REGIONS"
		timeout     = `timeout: must be a duration from 1s to 120s, such as "30s"`
	)
	s := newService(t, upstreamtest.Func(func(context.Context, slashid.Request) slashid.Result {
		t.Error("SlashID was called")
		return slashid.Result{}
	}))
	for want, reqs := range map[string][]*quashv1.RevokeRequest{
		token:       {{}, {Token: "a b"}, {Token: strings.Repeat(" ", maxToken+1)}},
		consistency: {{Token: "a", Consistency: 3}, {Token: "a", Consistency: -1}},
		timeout: {
			{Token: "a", Timeout: &durationpb.Duration{}},
			{Token: "a", Timeout: &durationpb.Duration{Seconds: -1}},
			{Token: "a", Timeout: &durationpb.Duration{Seconds: 120, Nanos: 1}},
			{Token: "a", Timeout: &durationpb.Duration{Seconds: math.MaxInt64, Nanos: math.MaxInt32}},
			{Token: "a", Timeout: &durationpb.Duration{Seconds: math.MinInt64, Nanos: math.MinInt32}},
		},
		token + "; " + consistency + "; " + timeout: {{Consistency: 3, Timeout: &durationpb.Duration{Seconds: 121}}},
	} {
		for _, req := range reqs {
			if _, err := s.Revoke(t.Context(), req); status.Convert(err).Message() != want {
				t.Errorf("%v: got %v, want %s", req, err, want)
			}
		}
	}
	for fields, i := (&quashv1.RevokeRequest{}).ProtoReflect().Descriptor().Fields(), 0; i < fields.Len(); i++ {
		if name := fields.Get(i).TextName(); fieldRules[name] == "" {
			t.Errorf("the field %s has no rule in words", name)
		}
	}
}

func violationsOf(t *testing.T, err error) []*errdetails.BadRequest_FieldViolation {
	t.Helper()
	if failure := failureOf(t, err, codes.InvalidArgument, "INVALID_REQUEST"); failure.GetState() != stateNotApplied {
		t.Errorf("rejected as %s", failure.GetState())
	}
	bad, _ := status.Convert(err).Details()[2].(*errdetails.BadRequest)
	if len(bad.GetFieldViolations()) == 0 {
		t.Errorf("the error has no violations: %v", err)
	}
	return bad.GetFieldViolations()
}

// For any fields and headers, a call either is rejected with an error that quotes nothing of
// them, or makes one attempt that conforms to SlashID's contract.
func FuzzRevoke(f *testing.F) {
	const token = "eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJwZXJzb24tMSJ9.c2lnbmVkLWluLWEtdGVzdA"
	f.Add(token, int32(0), int64(0), int32(0), "", "", "", "")
	f.Add(token, int32(2), int64(7), int32(900_000_000), "all_regions", "7", "1.2.3", "Bearer "+token)
	f.Add(token, int32(1), int64(-1<<63), int32(-1<<31), "all_regions", "121", "1\x7f", token)
	f.Add(token, int32(3), int64(121), int32(-1), token, token, token, token)
	f.Add(token+"\n", int32(-1), int64(1<<63-1), int32(1<<31-1), " local_region", "0x10", strings.Repeat("v", 65), "")
	f.Add("%s%v%!d"+token, int32(0), int64(120), int32(1), "LOCAL_REGION", "18446744073709551623", "\xff", "|")
	f.Add(strings.Repeat("a", maxToken+1), int32(0), int64(1), int32(0), "", "0000000000000000007", "", "")
	var asked []slashid.Request
	s, err := New(Config{Upstream: upstreamtest.Func(func(_ context.Context, req slashid.Request) slashid.Result {
		asked = append(asked, req)
		return slashid.Result{Status: http.StatusNoContent, Sent: req.BeforeSend()}
	})})
	if err != nil {
		f.Fatal(err)
	}
	valid := regexp.MustCompile(`\A[A-Za-z0-9._-]+\z`)
	f.Fuzz(func(t *testing.T, token string, consistency int32, seconds int64, nanos int32, level, timeout, sdkVersion, authorization string) {
		token, authorization = secrettest.Spiked(token), secrettest.Spiked(authorization)
		req := &quashv1.RevokeRequest{Token: token, Consistency: quashv1.Consistency(consistency)}
		if seconds != 0 || nanos != 0 {
			req.Timeout = &durationpb.Duration{Seconds: seconds, Nanos: nanos}
		}
		md := metadata.MD{}
		for key, value := range map[string]string{
			MetadataConsistency: level, MetadataConsistencyTimeout: timeout, MetadataSDKVersion: sdkVersion, MetadataAuthorization: authorization,
		} {
			if value != "" {
				md.Set(key, value)
			}
		}
		asked = nil

		_, err := s.Revoke(metadata.NewIncomingContext(t.Context(), md), req)
		if err != nil {
			own, _ := errors.AsType[*Error](err)
			text := fmt.Sprint(status.Convert(err).Proto(), violationsOf(t, err), own.Attrs())
			for _, secret := range []string{token, authorization} {
				if run := secrettest.SharedRun(text, secret); run != "" {
					t.Errorf("%q is in %q", run, text)
				}
			}
			if len(asked) > 0 {
				t.Errorf("upstream was asked for %+v", asked)
			}
			return
		}
		if len(asked) != 1 {
			t.Fatalf("%d requests", len(asked))
		}
		got := asked[0]
		if got.Token.Reveal() != token || !valid.MatchString(token) || len(token) > maxToken ||
			got.Consistency != slashid.LocalRegion && got.Consistency != slashid.AllRegions ||
			got.Timeout < MinTimeout || got.Timeout > MaxTimeout || got.Timeout%time.Second != 0 ||
			got.SDKVersion != sdkVersion || got.Credentials.Authorization.Reveal() != authorization {
			t.Errorf("%v with %v became %+v", req, md, got)
		}
	})
}

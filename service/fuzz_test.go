package service

import (
	"context"
	"errors"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/quashdev/quash/internal/secrettest"
	"github.com/quashdev/quash/internal/upstreamtest"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"

	quashv1 "github.com/quashdev/quash/gen/quash/v1"
	"github.com/quashdev/quash/service/slashid"
)

// fuzzedCall is a request, and the headers that come with it. A header's values
// stand one after the other, divided by "|"; an empty text is an absent header.
type fuzzedCall struct {
	token          string
	consistency    int32
	timeout        *durationpb.Duration
	allowInvalid   bool
	level, seconds string // of the headers
	sdkVersion     string
	apiKey         string
	authorization  string
	orgID          string
}

func (c *fuzzedCall) headers() map[string]string {
	return map[string]string{
		MetadataConsistency:        c.level,
		MetadataConsistencyTimeout: c.seconds,
		MetadataSDKVersion:         c.sdkVersion,
		MetadataAPIKey:             c.apiKey,
		MetadataAuthorization:      c.authorization,
		MetadataOrgID:              c.orgID,
	}
}

func (c *fuzzedCall) metadata() metadata.MD {
	md := metadata.MD{}
	for key, values := range c.headers() {
		if values != "" {
			md.Set(key, strings.Split(values, "|")...)
		}
	}
	return md
}

func (c *fuzzedCall) request() *quashv1.RevokeRequest {
	return &quashv1.RevokeRequest{
		Token:        c.token,
		Consistency:  quashv1.Consistency(c.consistency),
		Timeout:      c.timeout,
		AllowInvalid: c.allowInvalid,
	}
}

// want is what SlashID must be asked, nil when the call breaks a rule. It states
// the rules of the API once more, in other words than the code does.
func (c *fuzzedCall) want() *slashid.Request {
	first := map[string]string{}
	for key, values := range c.headers() {
		all := slices.Compact(strings.Split(values, "|"))
		if len(all) > 1 {
			return nil
		}
		first[key] = all[0]
	}
	level, levelOK := c.wantLevel(first[MetadataConsistency])
	timeout, timeoutOK := c.wantTimeout(first[MetadataConsistencyTimeout])
	if !levelOK || !timeoutOK ||
		!regexp.MustCompile(`\A[A-Za-z0-9._-]+\z`).MatchString(c.token) || len(c.token) > 16<<10 ||
		!regexp.MustCompile(`\A[\x20-\x7e]{0,64}\z`).MatchString(first[MetadataSDKVersion]) {
		return nil
	}
	return &slashid.Request{
		Token:       slashid.NewSecret(c.token),
		Consistency: level,
		Timeout:     timeout,
		SDKVersion:  first[MetadataSDKVersion],
		Credentials: slashid.Credentials{
			APIKey:        slashid.NewSecret(first[MetadataAPIKey]),
			Authorization: slashid.NewSecret(first[MetadataAuthorization]),
			OrgID:         first[MetadataOrgID],
		},
	}
}

func (c *fuzzedCall) wantLevel(header string) (level slashid.Consistency, ok bool) {
	levels := []slashid.Consistency{"", slashid.LocalRegion, slashid.AllRegions}
	if c.consistency < 0 || int(c.consistency) >= len(levels) {
		return "", false
	}
	level = levels[c.consistency]
	if c.level != "" {
		if header == "" || !slices.Contains(levels, slashid.Consistency(header)) || level != "" && string(level) != header {
			return "", false
		}
		level = slashid.Consistency(header)
	}
	if level == "" {
		level = slashid.LocalRegion
	}
	return level, true
}

func (c *fuzzedCall) wantTimeout(header string) (timeout time.Duration, ok bool) {
	timeout = 30 * time.Second
	if c.timeout != nil {
		timeout = c.timeout.AsDuration()
		if timeout < time.Second || timeout > 120*time.Second {
			return 0, false
		}
		timeout = timeout.Truncate(time.Second)
	}
	if c.seconds != "" {
		digits := strings.TrimLeft(header, "0")
		if !regexp.MustCompile(`\A[0-9]{1,3}\z`).MatchString(digits) || header == "" {
			return 0, false
		}
		seconds, _ := strconv.Atoi(digits)
		if seconds > 120 || c.timeout != nil && timeout != time.Duration(seconds)*time.Second {
			return 0, false
		}
		timeout = time.Duration(seconds) * time.Second
	}
	return timeout, true
}

// Whatever the fields of a request and its headers hold, it either is refused,
// saying what is wrong with it in words of ours only, or SlashID is asked for
// exactly what it says.
func FuzzRevoke(f *testing.F) {
	const token = "eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJwZXJzb24tMSJ9.c2lnbmVkLWluLWEtdGVzdA"
	for _, seed := range []fuzzedCall{
		{token: token},
		{token: token, consistency: 2, timeout: durationpb.New(7 * time.Second), allowInvalid: true},
		{token: token, consistency: 2, timeout: durationpb.New(7900 * time.Millisecond), level: "all_regions", seconds: "7"},
		{token: token, consistency: 1, timeout: durationpb.New(7 * time.Second), level: "all_regions", seconds: "8"},
		{token: token, level: "local_region|local_region", seconds: "120|120", sdkVersion: "1.2.3|1.2.3"},
		{token: token, level: "local_region|all_regions", seconds: "1|2", sdkVersion: "1|2"},
		{token: token, level: "LOCAL_REGION"},
		{token: token, seconds: "0x10"},
		{token: token, sdkVersion: "1\x7f"},
		{token: token, sdkVersion: "1\xff"},
		{token: token, level: "|", seconds: "|", sdkVersion: "|", apiKey: "|", authorization: "|", orgID: "|"},
		{token: token, level: " all_regions"},
		{token: token, seconds: " 7"},
		{token: token, sdkVersion: strings.Repeat("v", 64)},
		{token: token, sdkVersion: strings.Repeat("v", 65)},
		{token: token, seconds: "0"},
		{token: token, seconds: "121"},
		{token: token, seconds: "+7"},
		{token: token, consistency: 3},
		{token: token, consistency: -1},
		{token: token, seconds: "0000000000000000000000007"},
		{token: token, seconds: "65543"},
		{token: token, seconds: "18446744073709551623"},
		{token: token, seconds: "1_0"},
		{token: token, seconds: "-7|7"},
		{token: token, timeout: &durationpb.Duration{}},
		{token: token, timeout: &durationpb.Duration{Seconds: 120, Nanos: 1}},
		{token: token, timeout: &durationpb.Duration{Seconds: 121, Nanos: -1_000_000_000}},
		{token: token, timeout: &durationpb.Duration{Seconds: -1, Nanos: 2_000_000_000}},
		{token: token, timeout: &durationpb.Duration{Seconds: 1<<63 - 1, Nanos: 1<<31 - 1}},
		{token: token, timeout: &durationpb.Duration{Seconds: -1 << 63, Nanos: -1 << 31}},
		{token: token, timeout: durationpb.New(999 * time.Millisecond), seconds: "1"},
		{token: token, apiKey: "an-api-key-of-the-organisation", authorization: "Bearer " + token, orgID: "an-organisation"},
		{token: token, apiKey: token + "|an-api-key-of-the-organisation", authorization: "Bearer a|Bearer b", orgID: "a|b"},
		{token: token, level: token, seconds: token, sdkVersion: token, apiKey: token, authorization: token, orgID: token},
		{token: token, sdkVersion: token + "|" + token, level: token + "|" + token[1:]},
		{token: token + "\n"},
		{token: "\x00" + token + "\xff"},
		{token: strings.Repeat("a", 16<<10)},
		{token: strings.Repeat("a", 16<<10+1)},
		{token: "Bearer " + token},
		{token: "%s%v%!d" + token},
		{token: ".-_"},
		{},
	} {
		f.Add(seed.token, seed.consistency, seed.timeout != nil, seed.timeout.GetSeconds(), seed.timeout.GetNanos(), seed.allowInvalid,
			seed.level, seed.seconds, seed.sdkVersion, seed.apiKey, seed.authorization, seed.orgID)
	}
	var asked []slashid.Request
	s, err := New(Config{Upstream: upstreamtest.Func(func(_ context.Context, req slashid.Request) slashid.Result {
		asked = append(asked, req)
		return slashid.Result{Status: http.StatusNoContent, Sent: req.BeforeSend()}
	})})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, token string, consistency int32, hasTimeout bool, seconds int64, nanos int32, allowInvalid bool,
		level, secondsHeader, sdkVersion, apiKey, authorization, orgID string,
	) {
		secrets := []string{secrettest.Spiked(token)}
		for _, text := range []string{apiKey, authorization, orgID} {
			secrets = append(secrets, strings.Split(secrettest.Spiked(text), "|")...)
		}
		c := fuzzedCall{
			token: secrettest.Spiked(token), consistency: consistency, allowInvalid: allowInvalid, level: level, seconds: secondsHeader,
			sdkVersion: sdkVersion, apiKey: secrettest.Spiked(apiKey), authorization: secrettest.Spiked(authorization), orgID: secrettest.Spiked(orgID),
		}
		if hasTimeout {
			c.timeout = &durationpb.Duration{Seconds: seconds, Nanos: nanos}
		}
		// Headers that hold the token by mistake tell as little of it.
		for _, header := range []*string{&c.level, &c.seconds, &c.sdkVersion} {
			if strings.Contains(*header, token) && len(token) >= secrettest.TellingRun {
				*header = strings.ReplaceAll(*header, token, c.token)
			}
		}
		asked = nil

		_, err := s.Revoke(metadata.NewIncomingContext(t.Context(), c.metadata()), c.request())

		want := c.want()
		if want == nil {
			checkRefusal(t, err, secrets)
			if len(asked) > 0 {
				t.Errorf("upstream was asked for %+v by %+v", asked, c)
			}
			return
		}
		if err != nil || len(asked) != 1 {
			t.Fatalf("%+v is not served, with %d requests: %v", c, len(asked), status.Convert(err).Proto())
		}
		got := asked[0]
		if got.Token.Reveal() != want.Token.Reveal() || got.Consistency != want.Consistency || got.Timeout != want.Timeout ||
			got.SDKVersion != want.SDKVersion || got.Credentials.OrgID != want.Credentials.OrgID ||
			got.Credentials.APIKey.Reveal() != want.Credentials.APIKey.Reveal() ||
			got.Credentials.Authorization.Reveal() != want.Credentials.Authorization.Reveal() {
			t.Errorf("%+v became %+v, want %+v", c, got, *want)
		}
	})
}

// checkRefusal checks an INVALID_REQUEST: what it says is wrong, and that it tells
// no secret.
func checkRefusal(t *testing.T, err error, secrets []string) {
	t.Helper()
	own, ok := errors.AsType[*Error](err)
	if !ok {
		t.Fatalf("%v is not an *Error", err)
	}
	if own.Code() != codes.InvalidArgument || own.Reason() != "INVALID_REQUEST" || own.State() != "NOT_APPLIED" {
		t.Errorf("refused as %s %s %s", own.Code(), own.Reason(), own.State())
	}
	st := status.Convert(err)
	if len(st.Details()) != 3 {
		t.Fatalf("details: %v", st.Proto())
	}
	bad, _ := st.Details()[2].(*errdetails.BadRequest)
	if len(bad.GetFieldViolations()) == 0 {
		t.Fatalf("it does not say what is wrong: %v", st.Proto())
	}
	texts := []string{st.Proto().String(), err.Error()}
	for _, v := range bad.GetFieldViolations() {
		if v.GetField() == "" || v.GetDescription() == "" {
			t.Errorf("an empty violation: %v", bad)
		}
		texts = append(texts, v.GetField(), v.GetDescription())
	}
	for _, attr := range own.Attrs() {
		texts = append(texts, attr.String())
	}
	for _, text := range texts {
		for _, secret := range secrets {
			if run := secrettest.SharedRun(text, secret); run != "" {
				t.Errorf("%q is told in %q", run, text)
			}
		}
	}
}

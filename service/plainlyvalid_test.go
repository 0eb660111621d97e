package service

import (
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"buf.build/go/protovalidate"
	"google.golang.org/protobuf/types/known/durationpb"

	quashv1 "github.com/quashdev/quash/gen/quash/v1"
)

// The short cut takes what callers send, and nothing that the rules refuse.
func TestPlainlyValid(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		req  *quashv1.RevokeRequest
		want bool
	}{
		"a token":                {&quashv1.RevokeRequest{Token: "eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJwIn0.c2ln-_"}, true},
		"every character":        {&quashv1.RevokeRequest{Token: "AZaz09.-_"}, true},
		"the longest":            {&quashv1.RevokeRequest{Token: strings.Repeat("a", 16<<10)}, true},
		"one byte more":          {&quashv1.RevokeRequest{Token: strings.Repeat("a", 16<<10+1)}, false},
		"none":                   {&quashv1.RevokeRequest{}, false},
		"a line feed":            {&quashv1.RevokeRequest{Token: "a\n"}, false},
		"a letter beyond ASCII":  {&quashv1.RevokeRequest{Token: "ü"}, false},
		"not UTF-8":              {&quashv1.RevokeRequest{Token: "a\xff"}, false},
		"one region":             {&quashv1.RevokeRequest{Token: "a", Consistency: quashv1.Consistency_CONSISTENCY_LOCAL_REGION}, true},
		"all regions":            {&quashv1.RevokeRequest{Token: "a", Consistency: quashv1.Consistency_CONSISTENCY_ALL_REGIONS}, true},
		"a level that is none":   {&quashv1.RevokeRequest{Token: "a", Consistency: 3}, false},
		"a level below all":      {&quashv1.RevokeRequest{Token: "a", Consistency: -1}, false},
		"the shortest timeout":   {&quashv1.RevokeRequest{Token: "a", Timeout: durationpb.New(MinTimeout)}, true},
		"a fraction":             {&quashv1.RevokeRequest{Token: "a", Timeout: durationpb.New(1999 * time.Millisecond)}, true},
		"the longest timeout":    {&quashv1.RevokeRequest{Token: "a", Timeout: durationpb.New(MaxTimeout)}, true},
		"too short a timeout":    {&quashv1.RevokeRequest{Token: "a", Timeout: durationpb.New(MinTimeout - 1)}, false},
		"too long a timeout":     {&quashv1.RevokeRequest{Token: "a", Timeout: durationpb.New(MaxTimeout + 1)}, false},
		"a second of nanos":      {&quashv1.RevokeRequest{Token: "a", Timeout: &durationpb.Duration{Seconds: 7, Nanos: 1e9}}, false},
		"nanos below zero":       {&quashv1.RevokeRequest{Token: "a", Timeout: &durationpb.Duration{Seconds: 7, Nanos: -1}}, false},
		"more than a time holds": {&quashv1.RevokeRequest{Token: "a", Timeout: &durationpb.Duration{Seconds: math.MaxInt64}}, false},
		"whether it matters":     {&quashv1.RevokeRequest{Token: "a", AllowInvalid: true}, true},
	} {
		if got := plainlyValid(tt.req); got != tt.want {
			t.Errorf("%s: %t, want %t", name, got, tt.want)
		}
		if err := protovalidate.Validate(tt.req); tt.want && err != nil {
			t.Errorf("%s: it breaks a rule: %v", name, err)
		}
	}
}

// A field that plainlyValid does not look at must have no rule.
func TestPlainlyValidKnowsEveryField(t *testing.T) {
	t.Parallel()
	var names []string
	fields := (&quashv1.RevokeRequest{}).ProtoReflect().Descriptor().Fields()
	for i := range fields.Len() {
		names = append(names, string(fields.Get(i).Name()))
	}
	if want := []string{"token", "consistency", "timeout", "allow_invalid"}; !slices.Equal(names, want) {
		t.Errorf("the fields are %v: have plainlyValid look at those that have rules, and list them here", names)
	}
}

// What is plainly valid breaks no rule, whatever it is.
func FuzzPlainlyValid(f *testing.F) {
	f.Add("eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJwIn0.c2ln-_", int32(0), false, int64(0), int32(0))
	f.Add("a", int32(2), true, int64(120), int32(0))
	f.Add("a", int32(3), true, int64(1), int32(1))
	f.Add("a\n", int32(-1), true, int64(0), int32(999_999_999))
	f.Add("\xff", int32(1), true, int64(119), int32(1_000_000_000))
	f.Add("", int32(1), true, int64(121), int32(-1_000_000_000))
	f.Add(strings.Repeat("a", maxToken+1), int32(1), true, int64(1<<63-1), int32(1<<31-1))
	f.Fuzz(func(t *testing.T, token string, consistency int32, hasTimeout bool, seconds int64, nanos int32) {
		req := &quashv1.RevokeRequest{Token: token, Consistency: quashv1.Consistency(consistency)}
		if hasTimeout {
			req.Timeout = &durationpb.Duration{Seconds: seconds, Nanos: nanos}
		}
		err := protovalidate.Validate(req)
		switch {
		case plainlyValid(req) && err != nil:
			t.Errorf("plainly valid, and yet: %v", err)
		case !plainlyValid(req) && err == nil && nanos >= 0 && nanos < 1e9:
			t.Error("valid, and not plainly so")
		}
	})
}

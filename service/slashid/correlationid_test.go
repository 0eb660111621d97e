package slashid_test

import (
	"strings"
	"testing"

	"github.com/quashdev/quash/service/slashid"
)

func TestCorrelationID(t *testing.T) {
	t.Parallel()
	req := aRequest()
	req.Credentials.Authorization = slashid.NewSecret("Bearer an-opaque-access-token")
	for name, tt := range map[string]struct {
		id   string
		want bool
	}{
		"none":                         {"", true},
		"a UUID":                       {"9b2d8f4a-3c61-4e07-8a95-d1f6b0c27e38", true},
		"all that it may hold":         {"azAZ09._-", true},
		"the longest":                  {strings.Repeat("z", 64), true},
		"one character more":           {strings.Repeat("z", 65), false},
		"a space":                      {"a b", false},
		"beyond ASCII":                 {"\u00fc", false},
		"invalid UTF-8":                {"a\xffb", false},
		"the token's claims":           {tokenClaims, false},
		"a piece of the token":         {"id-" + tokenClaims[7:19], false},
		"less than a piece of it":      {"id-" + tokenClaims[7:18], true},
		"a piece of the key":           {"key-of-the-o", false},
		"a piece of the authorization": {"x-access-token-x", false},
	} {
		want := ""
		if tt.want {
			want = tt.id
		}
		if got := req.SafeCorrelationID(tt.id); got != want {
			t.Errorf("%s: got %q, want %q", name, got, want)
		}
	}
}

package slashid_test

import (
	"regexp"
	"strings"
	"testing"

	"github.com/quashdev/quash/internal/secrettest"
	"github.com/quashdev/quash/service/slashid"
)

func TestCorrelationID(t *testing.T) {
	t.Parallel()
	req := aRequestWithCredentials()
	req.Credentials.Authorization = slashid.NewSecret("Bearer an-opaque-access-token")
	for name, tt := range map[string]struct {
		id   string
		want bool
	}{
		"none":                              {"", true},
		"a UUID":                            {"9b2d8f4a-3c61-4e07-8a95-d1f6b0c27e38", true},
		"all that it may hold":              {"azAZ09._-", true},
		"the longest":                       {strings.Repeat("z", 64), true},
		"one character more":                {strings.Repeat("z", 65), false},
		"a space":                           {"a b", false},
		"a tab":                             {"a\tb", false},
		"a tilde":                           {"a~b", false},
		"a colon":                           {"a:b", false},
		"beyond ASCII":                      {"\u00fc", false},
		"invalid UTF-8":                     {"a\xffb", false},
		"JSON":                              {`{"sub":"person-1"}`, false},
		"the token's claims":                {tokenClaims, false},
		"a piece of the token":              {"id-" + tokenClaims[7:19], false},
		"less than a piece of it":           {"id-" + tokenClaims[7:18], true},
		"a piece across a dot of it":        {tokenHeader[len(tokenHeader)-6:] + "." + tokenClaims[:5], false},
		"a piece of the key":                {"key-of-the-o", false},
		"less than a piece of it, then":     {"key-of-the-x", true},
		"a piece of the authorization":      {"x-access-token-x", false},
		"the whole of the authorization":    {"Beareran-opaque-access-token", false},
		"what is nothing of a secret's own": {strings.Repeat("0123456789abcdef", 4), true},
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

// An id is passed on exactly if it looks like one and tells nothing of a secret.
func FuzzCorrelationID(f *testing.F) {
	for _, length := range []uint16{0, 11, 12, 13, 24} {
		f.Add(token, apiKey, "id-", uint16(7), length)
		f.Add(apiKey, token, "", uint16(7), length)
	}
	f.Add("short", "k", "9b2d8f4a-3c61-4e07-8a95-d1f6b0c27e38", uint16(1), uint16(3))
	f.Add(token, "", strings.Repeat("z", 60), uint16(0), uint16(5))
	f.Add(token, "", "a b\xff", uint16(0), uint16(0))
	looks := regexp.MustCompile(`^[A-Za-z0-9._-]{0,64}$`)
	f.Fuzz(func(t *testing.T, token, key, before string, from, length uint16) {
		begin := min(int(from), len(token))
		id := before + token[begin:min(begin+int(length), len(token))]
		req := slashid.Request{
			Token:       slashid.NewSecret(token),
			Credentials: slashid.Credentials{APIKey: slashid.NewSecret(key), Authorization: slashid.NewSecret("Bearer " + key)},
		}
		want := id
		if !looks.MatchString(id) {
			want = ""
		}
		for _, secret := range []string{token, key, "Bearer " + key} {
			if secret != "" && strings.Contains(id, secret) || secrettest.SharedRun(id, secret) != "" {
				want = ""
			}
		}
		if got := req.SafeCorrelationID(id); got != want {
			t.Errorf("%q of %q and %q: got %q, want %q", id, token, key, got, want)
		}
	})
}

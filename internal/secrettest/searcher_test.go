package secrettest_test

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"html"
	"net/url"
	"strings"
	"testing"

	"github.com/quashdev/quash/internal/secrettest"
)

const (
	jti = "0b50b1ec-8d1c-4c5e-9f2a-6f0f7a3ad1c9"
	key = `k"3\y<&>'%+/=.dR7qTz0Wm4Xc` // every quoting changes this text
)

const signature = "\x00\x9f\xfe not really a signature \xff\xfb\xbf"

var token = base64.RawURLEncoding.EncodeToString([]byte(`{"kid":"Qm7Zr4Tx0Lw9","alg":"ES256"}`)) + "." +
	base64.RawURLEncoding.EncodeToString([]byte(`{"jti":"`+jti+`"}`)) + "." +
	base64.RawURLEncoding.EncodeToString([]byte(signature))

func TestFind(t *testing.T) {
	t.Parallel()
	searcher := secrettest.NewSearcher(append(secrettest.OfToken("the token", token), secrettest.Secret{Name: "the key", Text: key})...)
	each := func(s, format, separator string) string {
		var all []string
		for i := range len(s) {
			all = append(all, fmt.Sprintf(format, s[i]))
		}
		return strings.Join(all, separator)
	}
	digest := sha256.Sum256([]byte(token))
	leaks := map[string]string{
		"a part of a token":     token[40:60],
		"upper case":            strings.ToUpper(token),
		"the claims, decoded":   `{"jti":"` + jti + `"}`,
		"jti without dashes":    strings.ReplaceAll(jti, "-", ""),
		"the signature's bytes": fmt.Sprintf("%x", signature),
		"a digest":              hex.EncodeToString(digest[:]),
		"a digest, cut short":   hex.EncodeToString(digest[:6]),
		"a digest in base64":    base64.StdEncoding.EncodeToString(digest[:]),
		"a digest as bytes":     fmt.Sprint(digest),
	}
	for name, secret := range map[string]string{"token": token, "key": key, "jti": jti, "signature": token[strings.LastIndex(token, ".")+1:]} {
		for form, text := range map[string]string{
			"unchanged":            secret,
			"hex":                  fmt.Sprintf("%x", secret),
			"hex, capitals, apart": fmt.Sprintf("% X", secret),
			"hex, with 0x":         fmt.Sprintf("%# x", secret),
			"hex, with colons":     each(secret, "%02x", ":"),
			"Go bytes":             fmt.Sprintf("%#v", []byte(secret)),
			"decimal":              fmt.Sprintf("%d", []byte(secret)),
			"JSON array":           each(secret, "%d", ","),
			"base64":               base64.StdEncoding.EncodeToString([]byte(secret)),
			"base64, 1 byte in":    base64.StdEncoding.EncodeToString([]byte("a" + secret + "-and-so-on")),
			"base64, 2 bytes in":   base64.RawURLEncoding.EncodeToString([]byte("ab" + secret)),
			"percent-encoded":      each(secret, "%%%02X", ""),
			"JSON escapes":         each(secret, `\u%04x`, ""),
			"Go escapes":           each(secret, `\x%02x`, ""),
			"octal escapes":        each(secret, `\%03o`, ""),
			"a query":              url.QueryEscape(secret),
			"a path":               url.PathEscape(secret),
			"a Go string":          fmt.Sprintf("%q", secret),
			"HTML":                 html.EscapeString(secret),
			"half":                 secret[len(secret)/2:],
		} {
			leaks[name+", "+form] = text
		}
	}
	for name, text := range leaks {
		if what, _ := searcher.Find(`{"level":"INFO","msg":"` + text + `","elapsed":12}`); what == "" {
			t.Errorf("%s: not found in %s", name, text)
		}
	}
	for _, text := range []string{
		"", "a", "level=INFO msg=serving grpc=127.0.0.1:9090", "e52d3ad6-4c5e-4c0a-9f2a-0123456789ab",
		fmt.Sprint(sha256.Sum256([]byte("another token"))), strings.Repeat("0", 64),
		"eyJhbGciOiJub25lIn0.eyJzdWIiOiJwZXJzb24tMSJ9.c2lnbmVkLWluLWEtdGVzdA", // another token
		"goroutine 1 [running]:\nmain.main()\n\t/src/main.go:12 +0x1d\n", "0xc000123400, 0x20, 0x40, 0x41, 0x42, 0x65, 0x79",
	} {
		if what, at := searcher.Find(text); what != "" {
			t.Errorf("%s is found at %d in %q", what, at, text)
		}
	}
}

// Any LeakLen consecutive bytes are found, and one byte less is not.
func TestFindRuns(t *testing.T) {
	t.Parallel()
	searcher := secrettest.NewSearcher(secrettest.Secret{Name: "the token", Text: token})
	for i := range len(token) - secrettest.LeakLen + 1 {
		run := token[i : i+secrettest.LeakLen]
		for _, text := range []string{
			run, "ab" + run + "~", fmt.Sprintf("%x", "a"+run+"~"), fmt.Sprintf("%d", []byte(run)),
			base64.StdEncoding.EncodeToString([]byte("a" + run + "~")),
		} {
			if what, _ := searcher.Find(text); what == "" {
				t.Errorf("%q is not found in %s", run, text)
			}
		}
		if what, at := searcher.Find("~" + run[1:] + "~"); what != "" {
			t.Errorf("%d bytes are reported as %s at %d: %s", secrettest.LeakLen-1, what, at, run[1:])
		}
	}
}

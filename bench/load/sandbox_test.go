package main

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/quashdev/quash/internal/secrettest"
)

// Fewer tokens than calls would be used twice; what is no token is not repeated.
func TestMintRefuses(t *testing.T) {
	t.Parallel()
	const (
		token = "eyJhbGciOiJub25lIn0.eyJqdGkiOiJhLWp0aS1vZi1zb21lLWxlbmd0aCJ9.c2lnbmVkLWluLWEtdGVzdA"
		other = "eyJhbGciOiJub25lIn0.eyJzdWIiOiJub2JvZHkifQ.c2lnbmVkLWluLWEtdGVzdA"
	)
	for name, body := range map[string]string{
		"none":         "",
		"too few":      token + "\n",
		"too many":     strings.Repeat(token+"\n", 3),
		"without jti":  token + "\n" + other + "\n",
		"no token":     token + "\n" + token + ".\n",
		"not base64":   token + "\na.&.c\n",
		"not even two": token + "\nsecret\n",
	} {
		front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, body) }))
		defer front.Close()
		got, err := sandboxURL(front.URL).mint(t.Context(), 2)
		if err == nil {
			t.Errorf("%s: %d tokens", name, len(got))
			continue
		}
		if what, _ := secrettest.NewSearcher(secrettest.OfToken("the token", token)...).Find(err.Error()); what != "" {
			t.Errorf("%s: the error tells of %s", name, what)
		}
	}
	nobody := httptest.NewServer(http.NotFoundHandler())
	defer nobody.Close()
	if _, err := sandboxURL(nobody.URL).deaths(t.Context()); err == nil {
		t.Error("404 was read as revocations")
	}
}

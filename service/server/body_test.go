package server

import (
	"bytes"
	"strings"
	"testing"

	quashv1 "github.com/quashdev/quash/gen/quash/v1"
	"github.com/quashdev/quash/service"

	"google.golang.org/protobuf/proto"
)

// A body whose token is read without a decoder is one that the decoders of both doors
// read the same.
func FuzzTokenAlone(f *testing.F) {
	for _, body := range []string{
		`{"token":"a.b-c_d"}`, "\r\n\t { \"token\" : \"a\" } \n", `{"token":""}`, `{"token":"~ !"}`,
		`{"token":"a\u0062"}`, `{"token":"a\""}`, `{"token":"a"b"}`, `{"token":"a\"}`, "{\"token\":\"\x7f\"}", "{\"token\":\"\xff\"}", "{\"token\":\"\n\"}",
		`{"token":"a"`, `{"token":"a`, `{"token":"a"}}`, `{"token":"a"}{}`, "{\"token\":\"a\"}\x00", "{\"token\":\"a\"\v}",
		`{"token":"a",}`, `{"token":"a","token":"b"}`, `{"token":"a","allowInvalid":true}`, `{"Token":"a"}`, `{"token":null}`, `{"token":1}`,
		`"token":"a"}`, `{token:"a"}`, `{"token""a"}`, `{"token":a"}`, `{}`, ``, "\xef\xbb\xbf{\"token\":\"a\"}",
	} {
		f.Add([]byte(body))
	}
	doors := map[string]func([]byte, proto.Message) []service.Violation{"native": decodeMessage, "drop-in": decodeToken}
	f.Fuzz(func(t *testing.T, body []byte) {
		token, ok := tokenAlone(body)
		if !ok {
			return
		}
		want := &quashv1.RevokeRequest{Token: token}
		for name, decode := range doors {
			got := &quashv1.RevokeRequest{}
			if bad := decode(body, got); len(bad) > 0 || !proto.Equal(got, want) {
				t.Errorf("%s: %q is read as %q, %v, and without a decoder as %q", name, body, got.GetToken(), bad, token)
			}
		}
	})
}

// What most clients write is not left to the decoders.
func TestTokenAloneTakesWhatClientsWrite(t *testing.T) {
	t.Parallel()
	const token = "eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJwZXJzb24tMSJ9.c2lnbmVk-W4_dGVzdA"
	for _, form := range []string{
		`{"token":"$TOKEN"}`,
		`{"token":"$TOKEN"}` + "\n",
		`{"token": "$TOKEN"}`,
		"{\r\n  \"token\": \"$TOKEN\"\r\n}\r\n",
	} {
		if got, ok := tokenAlone([]byte(strings.ReplaceAll(form, "$TOKEN", token))); !ok || got != token {
			t.Errorf("%q: %q, %t", form, got, ok)
		}
	}
}

// A buffer that is kept for the next body has nothing of its last, and is small.
func TestKeptBuffers(t *testing.T) {
	t.Parallel()
	kept := new(bytes.Buffer)
	kept.WriteString(`{"token":"a.b.c"}`)
	all := kept.Bytes()
	_ = kept.Next(3)
	wipe(kept)
	if kept.Len() != 0 || strings.Trim(string(all), "\x00") != "" {
		t.Errorf("%q is kept", all)
	}
	large := new(bytes.Buffer)
	large.Grow(keptBuffer + 1)
	large.WriteString("a")
	keep(large)
	if large.Len() == 0 {
		t.Error("a large buffer is kept")
	}
}

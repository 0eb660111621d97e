package sandbox

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/iotest"
)

func TestReadBody(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		body string
		want error
	}{
		{"empty", "", nil},
		{"64 KiB", strings.Repeat(" ", maxBody), nil},
		{"one byte more", strings.Repeat(" ", maxBody+1), errBodyTooLarge},
	} {
		got, err := readBody(newRequest(t.Context(), http.MethodPost, "/", tt.body))
		if !errors.Is(err, tt.want) || tt.want == nil && string(got) != tt.body {
			t.Errorf("%s: error %v, %d bytes", tt.name, err, len(got))
		}
	}

	broken := newRequest(t.Context(), http.MethodPost, "/", "")
	broken.Body = http.NoBody
	if _, err := readBody(broken); err != nil {
		t.Errorf("no body: %v", err)
	}
	broken.Body = readCloser{iotest.ErrReader(errors.New("broken"))}
	if _, err := readBody(broken); !errors.Is(err, errBodyUnreadable) {
		t.Errorf("a body that breaks off: %v", err)
	}
}

func TestDecodeJSON(t *testing.T) {
	t.Parallel()
	for body, want := range map[string]error{
		`{"a":1}`:         nil,
		`{"a":1,"b":"?"}`: nil,
		` {} ` + "\n":     nil,
		``:                errBodyNotJSON,
		`{`:               errBodyNotJSON,
		`{} {}`:           errBodyNotJSON,
		`{}x`:             errBodyNotJSON,
		`[]`:              errBodyNotJSON,
		`{"a":"secret"}`:  errBodyNotJSON,
	} {
		var v struct{ A int }
		if err := decodeJSON([]byte(body), &v); !errors.Is(err, want) {
			t.Errorf("%q: %v, want %v", body, err, want)
		}
	}
}

func TestDecodeControlSaysWhatIsWrong(t *testing.T) {
	t.Parallel()
	for body, want := range map[string]string{
		``:          "the body is empty",
		`null`:      "the body cannot be a JSON null",
		`[]`:        "the body cannot be a JSON array",
		`{"a":"1"}`: "a cannot be a JSON string",
		`{"b":1}`:   `unknown field "b"`,
		`{"a":1`:    "unexpected EOF",
		`{"a":1}1`:  "goes on after its JSON value",
	} {
		var v struct {
			A int `json:"a"`
		}
		if err := decodeControl([]byte(body), &v); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", body, err, want)
		}
	}
}

type readCloser struct{ io.Reader }

func (readCloser) Close() error { return nil }

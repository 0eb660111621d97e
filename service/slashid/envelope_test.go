package slashid_test

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/quashdev/quash/service/slashid"
)

func TestIsEnvelope(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name string
		body string
		want bool
	}{
		// SlashID's word.
		{"documented", envelope, true},
		{"without meta", `{"errors": [{"httpcode": 408, "message": "text"}]}`, true},
		{"without errors", `{"meta": {"pagination": {"limit": 0, "offset": 0, "total_count": 0}}}`, true},
		{"empty members", `{"meta": {}, "errors": []}`, true},
		{"several errors", `{"errors": [{"httpcode": 408}, {"message": "text"}]}`, true},
		{"null further in", `{"meta": {"pagination": null}, "errors": [{"httpcode": null, "message": null}]}`, true},
		{"more members than documented", `{"meta": {}, "errors": [{"httpcode": 408, "id": 7}], "result": null}`, true},
		{"errors null", `{"meta": {}, "errors": null}`, true},
		{"errors first", `{"errors": [], "meta": {}}`, true},
		{"no spaces", `{"meta":{},"errors":[]}`, true},
		{"many spaces", " \t\r\n{ \"meta\" :\r\n{ } , \"errors\"\t: [ ] } \t\r\n", true},
		{"escaped names", `{"\u006deta": {}, "err\u006frs": []}`, true},
		{"NUL in a message, escaped", `{"errors": [{"message": "\u0000"}]}`, true},
		{"invalid UTF-8 in a message", "{\"errors\": [{\"message\": \"\xff\xfe\"}]}", true},

		// A proxy's.
		{"nothing", "", false},
		{"spaces", " \r\n", false},
		{"HTML", page, false},
		{"HTML around it", "<pre>" + envelope + "</pre>", false},
		{"plain text", "stream timeout", false},
		{"an API gateway's JSON", `{"message": "Endpoint request timed out"}`, false},
		{"another API's JSON", `{"error": "timeout", "error_description": "text"}`, false},
		{"problem details", `{"type": "about:blank", "title": "Request Timeout", "status": 408}`, false},

		// Other APIs' errors that look alike.
		{"an error without members", `{"errors": [{}]}`, false},
		{"errors that are texts", `{"errors": ["request timeout"]}`, false},
		{"errors that are numbers", `{"errors": [408]}`, false},
		{"errors that are null", `{"errors": [null]}`, false},
		{"JSON:API", `{"errors": [{"status": "408", "title": "Request Timeout"}]}`, false},
		{"Cloudflare", `{"success": false, "errors": [{"code": 1000, "message": "timeout"}], "messages": [], "result": null}`, false},
		{"an httpcode that is text", `{"errors": [{"httpcode": "408", "message": "text"}]}`, false},
		{"a message that is no text", `{"errors": [{"message": {}}]}`, false},
		{"another case", `{"META": {}}`, false},
		{"members that are unknown", `{"meta": {}, "errors": [], "result": null, "id": 7}`, false},

		// Neither member, or not in its shape.
		{"an empty object", `{}`, false},
		{"null", `null`, false},
		{"true", `true`, false},
		{"a number", `408`, false},
		{"a string", `"meta"`, false},
		{"an array", `[]`, false},
		{"it in an array", `[` + envelope + `]`, false},
		{"it in a string", `"{\"meta\": {}, \"errors\": []}"`, false},
		{"it one level down", `{"body": ` + envelope + `}`, false},
		{"meta null", `{"meta": null}`, false},
		{"only errors, null", `{"errors": null}`, false},
		{"both null", `{"meta": null, "errors": null}`, false},
		{"meta a string", `{"meta": "{}"}`, false},
		{"meta an array", `{"meta": []}`, false},
		{"meta an array, errors right", `{"meta": [], "errors": []}`, false},
		{"errors an object", `{"errors": {}}`, false},
		{"errors a string", `{"errors": "[]"}`, false},
		{"errors a number", `{"errors": 1}`, false},
		{"errors an object, meta right", `{"meta": {}, "errors": {"0": {}}}`, false},

		// Damaged.
		{"truncated", envelope[:len(envelope)-1], false},
		{"truncated in the middle", envelope[:len(envelope)/2], false},
		{"more after it", envelope + "{}", false},
		{"a comma too many", `{"meta": {}, "errors": [],}`, false},
		{"NUL before it", "\x00" + envelope, false},
		{"NUL after it", envelope + "\x00", false},
		{"NUL in a message", "{\"errors\": [{\"message\": \"\x00\"}]}", false},
		{"only NULs", strings.Repeat("\x00", 100), false},
		{"byte order mark", "\ufeff" + envelope, false},
		{"UTF-16", "{\x00\"\x00m\x00e\x00t\x00a\x00\"\x00:\x00{\x00}\x00}\x00", false},
		{"invalid UTF-8 outside a string", "{\xff\"meta\": {}}", false},
		{"too deep", `{"meta": ` + strings.Repeat(`{"a":`, 20_000) + `1` + strings.Repeat(`}`, 20_000) + `}`, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			if got := slashid.IsEnvelope([]byte(tc.body)); got != tc.want {
				t.Errorf("%.80q: got %t, want %t", tc.body, got, tc.want)
			}
		})
	}
}

// Whatever comes: an envelope is a whole JSON object in which something is
// SlashID's and nothing contradicts it, no part of it is an envelope, and how it is
// written does not matter. SlashID's own is one, whatever its message says.
func FuzzIsEnvelope(f *testing.F) {
	for _, body := range []string{
		"", "{}", "null", envelope, page, `{"meta": null, "errors": []}`, `{"errors": [{}]}`, "{\"errors\": [\"\xff\"]}",
		`{"meta": {}}`, `{"META": {}}`, `{"meta": {}, "meta": 1}`, "\x00", "\ufeff" + envelope, envelope + "{}",
		`{"errors": [{"httpcode": 408, "id": 7}], "result": null}`, `{"errors": [{"httpcode": 4.08e2}]}`,
		`{"errors": [{"httpcode": -0}, {"httpcode": "408"}]}`, `{"errors": [{"httpcode": 99999999999999999999}]}`,
		`{"errors": [{"message": "a"}, {"httpcode": null}]}`, `{"errors": [null, {"message": null}]}`,
		`{"errors": [{"code": 1000, "message": "timeout"}]}`, `{"errors": [{"httpcode": 1, "httpcode": null, "a": 1}]}`,
		`{"meta": {"pagination": {}, "page": 1}}`, `{"meta": {}, "errors": [], "id": 7}`, "{\"err\\u006frs\":[{\"message\":\"\\ud800\xff\"}]}",
	} {
		f.Add([]byte(body), int64(408))
	}
	f.Fuzz(func(t *testing.T, body []byte, httpcode int64) {
		documented, err := json.Marshal(map[string]any{
			"meta":   map[string]any{"pagination": map[string]int64{"limit": httpcode}},
			"errors": []any{map[string]any{"httpcode": httpcode, "message": string(body)}},
		})
		if err != nil {
			t.Fatal(err)
		}
		if !slashid.IsEnvelope(documented) {
			t.Errorf("SlashID's own is not taken for an envelope: %s", documented)
		}
		got := slashid.IsEnvelope(body)
		decoder := json.NewDecoder(bytes.NewReader(body))
		decoder.UseNumber()
		var value any
		if err := decoder.Decode(&value); err != nil || !json.Valid(body) {
			if got {
				t.Errorf("%q is no JSON: %v", body, err)
			}
			return
		}
		rewritten, err := json.MarshalIndent(value, "\r\n", "\t")
		if err != nil {
			t.Fatal(err)
		}
		if slashid.IsEnvelope(rewritten) != got {
			t.Errorf("an envelope: %t, but not so when it is written %q: %q", got, rewritten, body)
		}
		if !got {
			return
		}
		if !passesForEnvelope(value) {
			t.Errorf("%q is taken for an envelope", body)
		}
		whole := bytes.TrimSpace(body)
		if slashid.IsEnvelope(whole[:len(whole)-1]) {
			t.Errorf("%q without its end is an envelope", body)
		}
		if slashid.IsEnvelope(append([]byte("["), append(whole, ']')...)) {
			t.Errorf("%q in an array is an envelope", body)
		}
	})
}

// passesForEnvelope reports whether a decoded value has what an envelope must have:
// an error with an httpcode, or one of SlashID's two members and nothing that is
// not SlashID's.
func passesForEnvelope(value any) bool {
	object, _ := value.(map[string]any)
	list, isList := object["errors"].([]any)
	meta, isObject := object["meta"].(map[string]any)
	if !isList && object["errors"] != nil || !isObject && object["meta"] != nil || !isList && !isObject {
		return false
	}
	foreign := hasOther(object, "meta", "errors") || hasOther(meta, "pagination")
	for _, one := range list {
		one, isObject := one.(map[string]any)
		if number, ok := one["httpcode"].(json.Number); ok {
			if _, err := number.Int64(); err == nil {
				return true
			}
		}
		_, isText := one["message"].(string)
		foreign = foreign || !isObject || len(one) == 0 || hasOther(one, "httpcode", "message") ||
			one["httpcode"] != nil || !isText && one["message"] != nil
	}
	return !foreign
}

func hasOther(object map[string]any, names ...string) bool {
	for name := range object {
		if !slices.Contains(names, name) {
			return true
		}
	}
	return false
}

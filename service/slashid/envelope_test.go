package slashid_test

import (
	"strings"
	"testing"

	"github.com/quashdev/quash/service/slashid"
)

func TestIsEnvelope(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, body string
		want       bool
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
		{"escaped names", `{"\u006deta": {}, "err\u006frs": []}`, true},

		// A proxy's.
		{"nothing", "", false},
		{"HTML", page, false},
		{"an API gateway's JSON", `{"message": "Endpoint request timed out"}`, false},

		// Other APIs' errors that look alike.
		{"an error without members", `{"errors": [{}]}`, false},
		{"errors that are texts", `{"errors": ["request timeout"]}`, false},
		{"JSON:API", `{"errors": [{"status": "408", "title": "Request Timeout"}]}`, false},
		{"Cloudflare", `{"success": false, "errors": [{"code": 1000, "message": "timeout"}], "messages": [], "result": null}`, false},
		{"an httpcode that is text", `{"errors": [{"httpcode": "408", "message": "text"}]}`, false},
		{"a message that is no text", `{"errors": [{"message": {}}]}`, false},

		// Neither member, or not in its shape.
		{"an empty object", `{}`, false},
		{"null", `null`, false},
		{"an array", `[]`, false},
		{"it in a string", `"{\"meta\": {}, \"errors\": []}"`, false},
		{"meta null", `{"meta": null}`, false},
		{"both null", `{"meta": null, "errors": null}`, false},
		{"meta an array", `{"meta": []}`, false},
		{"errors an object", `{"errors": {}}`, false},

		// Damaged.
		{"truncated", envelope[:len(envelope)-1], false},
		{"more after it", envelope + "{}", false},
		{"a comma too many", `{"meta": {}, "errors": [],}`, false},
		{"NUL before it", "\x00" + envelope, false},
		{"byte order mark", "\ufeff" + envelope, false},
		{"too deep", `{"meta": ` + strings.Repeat(`{"a":`, 20_000) + `1` + strings.Repeat(`}`, 20_000) + `}`, false},
	} {
		if got := slashid.IsEnvelope([]byte(tt.body)); got != tt.want {
			t.Errorf("%s: got %t, want %t", tt.name, got, tt.want)
		}
	}
}

package slashid

import (
	"strings"
	"testing"
)

func TestIsEnvelope(t *testing.T) {
	t.Parallel()
	for body, want := range map[string]bool{
		// Envelopes of SlashID.
		envelope: true,
		`{"errors": [{"httpcode": 408, "message": "text"}]}`:                              true,
		`{"meta": {"pagination": {"limit": 0, "offset": 0, "total_count": 0}}}`:           true,
		`{"meta": {}, "errors": []}`:                                                      true,
		`{"meta": {}, "errors": null}`:                                                    true,
		`{"errors": [{"httpcode": 408}, {"message": "text"}]}`:                            true,
		`{"meta": {"pagination": null}, "errors": [{"httpcode": null, "message": null}]}`: true,
		`{"meta": {}, "errors": [{"httpcode": 408, "id": 7}], "result": null}`:            true, // members that are not documented
		`{"\u006deta": {}, "err\u006frs": []}`:                                            true,

		// Errors of a proxy, or of another API, that look similar.
		"":   false,
		page: false,
		`{"message": "Endpoint request timed out"}`:                                            false,
		`{"errors": [{}]}`:                                                                     false,
		`{"errors": ["request timeout"]}`:                                                      false,
		`{"errors": [{"status": "408", "title": "Request Timeout"}]}`:                          false,
		`{"success": false, "errors": [{"code": 1000, "message": "timeout"}], "messages": []}`: false,
		`{"errors": [{"httpcode": "408", "message": "text"}]}`:                                 false,
		`{"errors": [{"message": {}}]}`:                                                        false,

		// Without the members, or with members of another type.
		`{}`:             false,
		`null`:           false,
		`[]`:             false,
		`{"meta": null}`: false,
		`{"meta": []}`:   false,
		`{"errors": {}}`: false,

		// Invalid JSON.
		envelope[:len(envelope)-1]:    false,
		envelope + "{}":               false,
		`{"meta": {}, "errors": [],}`: false,
		"\ufeff" + envelope:           false,
		`{"meta": ` + strings.Repeat(`{"a":`, 20_000) + `1` + strings.Repeat(`}`, 20_000) + `}`: false,
	} {
		if got := isEnvelope([]byte(body)); got != want {
			t.Errorf("%.100s: got %t, want %t", body, got, want)
		}
	}
}

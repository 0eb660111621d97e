package slashid

import (
	"encoding/json"
	"maps"
)

// isEnvelope reports whether body is SlashID's error envelope:
//
//	{"meta": {"pagination": {…}}, "errors": [{"httpcode": 408, "message": "…"}]}
//
// Every member may be missing, and the errors of other APIs look similar. So a body is an
// envelope if an error in it has an httpcode, or if it has no members except those of
// SlashID's envelope.
func isEnvelope(body []byte) bool {
	var envelope map[string]json.RawMessage
	if len(body) == 0 || json.Unmarshal(body, &envelope) != nil {
		return false
	}
	var list []map[string]json.RawMessage
	if json.Unmarshal(orNull(envelope["errors"]), &list) != nil {
		return false
	}
	var meta map[string]json.RawMessage
	if json.Unmarshal(orNull(envelope["meta"]), &meta) != nil {
		return false
	}
	strict := (list != nil || meta != nil) && only(envelope, "meta", "errors") && only(meta, "pagination")
	for _, one := range list {
		var httpcode *int
		if json.Unmarshal(orNull(one["httpcode"]), &httpcode) != nil {
			return false
		}
		if httpcode != nil {
			return true
		}
		strict = strict && len(one) > 0 && only(one, "httpcode", "message") && isText(one["message"])
	}
	return strict
}

func orNull(raw json.RawMessage) json.RawMessage {
	if raw == nil {
		return json.RawMessage("null")
	}
	return raw
}

// only reports whether an object has no members except those named.
func only(object map[string]json.RawMessage, names ...string) bool {
	rest := maps.Clone(object)
	for _, name := range names {
		delete(rest, name)
	}
	return len(rest) == 0
}

func isText(raw json.RawMessage) bool {
	var text string
	return json.Unmarshal(orNull(raw), &text) == nil
}

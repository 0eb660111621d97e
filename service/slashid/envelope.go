package slashid

import (
	"bytes"
	"encoding/json"
)

// isEnvelope reports whether body is SlashID's error envelope:
//
//	{"meta": {…}, "errors": [{"httpcode": 408, "message": "…"}]}
//
// Every member of it may be missing, but one that is there has its documented
// shape, and a body with neither is nobody's word for anything: gateways answer
// in JSON of their own too, {"message": "…"} for instance.
func isEnvelope(body []byte) bool {
	var envelope struct {
		Meta   json.RawMessage `json:"meta"`
		Errors json.RawMessage `json:"errors"`
	}
	if err := json.Unmarshal(body, &envelope); err != nil {
		return false
	}
	meta, errors := startsWith(envelope.Meta, '{'), startsWith(envelope.Errors, '[')
	switch {
	case envelope.Meta == nil:
		return errors
	case envelope.Errors == nil:
		return meta
	default:
		return meta && errors
	}
}

func startsWith(raw json.RawMessage, first byte) bool {
	return bytes.HasPrefix(bytes.TrimLeft(raw, " \t\r\n"), []byte{first})
}

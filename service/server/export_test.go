package server

import (
	"bytes"
	"encoding/json"
	"testing"
)

// Update is the flag by which tests write what they would otherwise check.
var Update = update

// compactJSON undoes the random spaces of protojson.
func compactJSON(t *testing.T, data []byte) []byte {
	t.Helper()
	var compact bytes.Buffer
	if err := json.Compact(&compact, data); err != nil {
		t.Fatal(err)
	}
	return compact.Bytes()
}

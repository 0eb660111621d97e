package tokenlist

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
)

// parseObject returns the token of a line that begins like an object of JSON. Of two
// members "token", decoding into a struct would take the last one without a word, and a
// member "Token" for one of them.
func parseObject(text []byte) (string, Problem) {
	object := json.NewDecoder(bytes.NewReader(text))
	if _, err := object.Token(); err != nil {
		return "", BadJSON
	}
	var values []json.RawMessage
	for object.More() {
		name, err := object.Token()
		if err != nil {
			return "", BadJSON
		}
		var value json.RawMessage
		if err := object.Decode(&value); err != nil {
			return "", BadJSON
		}
		if name == "token" {
			values = append(values, value)
		}
	}
	if _, err := object.Token(); err != nil {
		return "", BadJSON
	}
	if _, err := object.Token(); !errors.Is(err, io.EOF) {
		return "", BadJSON // something follows
	}
	switch len(values) {
	case 0:
		return "", NoTokenMember
	case 1:
		return memberToken(values[0])
	}
	return "", TwoTokenMembers
}

func memberToken(value json.RawMessage) (string, Problem) {
	var token *string
	if err := json.Unmarshal(value, &token); err != nil || token == nil {
		return "", TokenNoString
	}
	return checked(*token)
}

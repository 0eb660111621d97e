package soak

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
)

// checkLog returns what must not be in quash's log: errors, lines that are not JSON, as of
// a crash, and tokens.
func checkLog(path string) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	n := 0
	for line := range bytes.Lines(text) {
		n++
		if bad := checkLogLine(line); bad != "" {
			return fmt.Errorf("%s:%d %s", path, n, bad)
		}
	}
	return nil
}

func checkLogLine(line []byte) (bad string) {
	var entry struct {
		Level string `json:"level"`
	}
	switch err := json.Unmarshal(line, &entry); {
	case err != nil:
		return "is not a log line"
	case entry.Level == "ERROR":
		return "is an error"
	case bytes.Contains(line, []byte("eyJ")): // how every JWT begins
		return "holds a token"
	}
	return ""
}

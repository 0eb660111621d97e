package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestReadAddrs(t *testing.T) {
	t.Parallel()
	q := &quash{}
	const serving = `{"time":"x","level":"INFO","msg":"serving","grpc":"127.0.0.1:1","http":"127.0.0.1:2","admin":"127.0.0.1:3"}` + "\n"
	if q.readAddrs([]byte(`{"level":"INFO","msg":"something"}` + "\n" + serving[:60])) {
		t.Error("half a line is enough")
	}
	if !q.readAddrs([]byte(`{"level":"INFO","msg":"something"}` + "\n" + serving)) {
		t.Fatal("the line is not found")
	}
	if q.grpc != "127.0.0.1:1" || q.rest != "http://127.0.0.1:2" || q.adminURL != "http://127.0.0.1:3" {
		t.Errorf("got %+v", q)
	}
}

func TestCheckLog(t *testing.T) {
	t.Parallel()
	const fine = `{"level":"INFO","msg":"serving"}` + "\n" + `{"level":"WARN","msg":"revocation failed"}` + "\n"
	for name, tc := range map[string]struct{ log, want string }{
		"fine":                 {fine, ""},
		"empty":                {"", ""},
		"an error":             {fine + `{"level":"ERROR","msg":"panic"}` + "\n", ":3 is an error"},
		"a crash":              {fine + "panic: runtime error\n\ngoroutine 1 [running]:\n", ":3 is no log line"},
		"a line that is cut":   {fine + `{"level":"IN`, ":3 is no log line"},
		"a token in some line": {`{"level":"INFO","msg":"x","cause":"eyJhbGciOi"}` + "\n" + fine, ":1 holds a token"},
	} {
		path := filepath.Join(t.TempDir(), "log")
		if err := os.WriteFile(path, []byte(tc.log), 0o600); err != nil {
			t.Fatal(err)
		}
		err := checkLog(path)
		switch {
		case tc.want == "" && err != nil:
			t.Errorf("%s: %v", name, err)
		case tc.want != "" && (err == nil || !strings.Contains(err.Error(), tc.want) || strings.Contains(err.Error(), "eyJ")):
			t.Errorf("%s: %v, want %q", name, err, tc.want)
		}
	}
}

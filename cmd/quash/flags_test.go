package main

import (
	"strings"
	"testing"
)

func TestCheckAddr(t *testing.T) {
	t.Parallel()
	for _, addr := range []string{
		":0", ":9090", "127.0.0.1:0", "127.0.0.1:65535", "[::1]:9090", "[::]:9090",
		"localhost:9090", "quash.example.com:9090", "[fe80::1%eth0]:9090",
	} {
		if err := checkAddr(addr); err != nil {
			t.Errorf("%q: %v", addr, err)
		}
	}
	for addr, want := range map[string]string{
		"":                      "host:port",
		"9090":                  "host:port",
		"localhost":             "host:port",
		"127.0.0.1":             "host:port",
		"::1":                   "host:port",
		"::1:9090":              "host:port",
		"http://127.0.0.1:9090": "host:port",
		":":                     "port must be a number",
		"127.0.0.1:":            "port must be a number",
		":grpc":                 "port must be a number",
		":-1":                   "port must be a number",
		":+1":                   "port must be a number",
		":65536":                "port must be a number",
		":9090/":                "port must be a number",
		": 9090":                "port must be a number",
	} {
		if err := checkAddr(addr); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", addr, err, want)
		}
	}
}

// Plaintext is for loopback only, so an ambiguous address does not count as loopback.
func TestIsLoopback(t *testing.T) {
	t.Parallel()
	for _, addr := range []string{
		"127.0.0.1:9090", "127.255.255.254:9090", "[::1]:9090", "[0:0:0:0:0:0:0:1]:9090", "[::ffff:127.0.0.1]:9090", "localhost:9090",
	} {
		if !isLoopback(addr) {
			t.Errorf("%q does not count as loopback", addr)
		}
	}
	for _, addr := range []string{
		":9090", "0.0.0.0:9090", "[::]:9090", "10.0.0.1:9090", "126.255.255.255:9090", "128.0.0.1:9090",
		"[::ffff:10.0.0.1]:9090", "[fe80::1%lo]:9090", "127.1:9090", "2130706433:9090", "0177.0.0.1:9090",
		"localhost.example.com:9090", "127.0.0.1.example.com:9090", "example.com:9090", "127.0.0.1", "",
		"localhost, 192.0.2.1:9090", "localhost@192.0.2.1:9090", "user@127.0.0.1:9090", "http://localhost:9090",
		"127.0.0.1:9090,0.0.0.0:19090",
	} {
		if isLoopback(addr) {
			t.Errorf("%q counts as loopback", addr)
		}
	}
}

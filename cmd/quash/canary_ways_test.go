package main

import (
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/quashdev/quash/sandbox"
)

// The ways of the canary besides those that TestCanary begins with.

// inDev is quash dev, with the tokens of its sandbox, which makes mistakes too.
func (h *hunt) inDev(t *testing.T) {
	c := h.launch(t, "dev", nil, append([]string{"quash", "dev", "--sandbox-addr", "127.0.0.1:0"}, anywhere("text")...)...)
	f := h.serve(t, c, nil)
	control := f.addrs["SANDBOX"] + "/_sandbox/"
	text := func(method, path, body string) string {
		req, err := http.NewRequestWithContext(t.Context(), method, control+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		resp, err := f.http.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		answer, err := io.ReadAll(resp.Body)
		if err != nil || resp.StatusCode >= 300 {
			t.Fatalf("%s %s: %s: %s, %v", method, path, resp.Status, answer, err)
		}
		return string(answer)
	}
	plays := []struct{ row, fault string }{
		{rowRevoked, ""},
		{rowRejected, "again"},
		{rowKeyRefused, `"status":401`},
		{rowKeyRefused, `"status":403`},
		{rowInProgress, `"status":408,"apply":true`},
		{rowLimited, `"status":429`},
		{rowUnavailable, `"status":503`},
		{rowUnexpected, `"status":302`},
		{rowLost, `"count":100,"reset":true`}, // net/http sends some of them again
		{rowAlreadyInvalid, `"reset":true,"apply":true`},
	}
	tokens := strings.Fields(text(http.MethodPost, fmt.Sprintf("tokens?count=%d", len(doors)*len(plays)), ""))
	f.h = h.alsoFor(tokens...)
	for i, door := range doors {
		for j, s := range plays {
			token := tokens[i*len(plays)+j]
			switch {
			case s.fault == "again":
				f.expect(t, call{door: door, token: token}, rowRevoked)
			case strings.Contains(s.fault, "status"):
				echo := fmt.Sprintf(`,"headers":{"Slashid-Correlation-Id":%q,"Retry-After":"3600","Location":%[1]q},"body":%q`,
					token, `{"errors":[{"httpcode":400,"message":"`+token+`"}]}`)
				text(http.MethodPost, "faults", "{"+s.fault+echo+"}")
			case s.fault != "":
				text(http.MethodPost, "faults", "{"+s.fault+"}")
			}
			f.expect(t, call{door: door, token: token}, s.row)
			text(http.MethodDelete, "faults", "")
		}
	}
	if err := f.h.crawl(t.Context(), c.name, f.addrs["ADMIN"]); err != nil {
		t.Error(err)
	}
	if got := argumentsWithTokens(c.stdout.String()); got != nil {
		t.Errorf("the greeting has tokens for arguments: %q", got)
	}
	f.h.end(t, c, anyToken) // the greeting has some to paste
}

// overMutualTLS is quash with room for one call, which some may make.
func (h *hunt) overMutualTLS(t *testing.T) {
	vouches := newAuthority(t)
	upstream := startParrot(t, h, nil)
	ca, cert, key := vouches.files(t, vouches.issue(t, "quash.test", true))
	c := h.launch(t, "mutual TLS", nil, append([]string{
		"quash", "serve", "--upstream-url", upstream.url, "--max-in-flight", "1", "--transfer-timeout", patience.String(),
		"--tls-cert-file", cert, "--tls-key-file", key, "--tls-client-ca-file", ca, "--allowed-callers-file", write(t, "billing.test\n"),
	}, anywhere("json")...)...)
	as := func(name string) *tls.Config {
		return &tls.Config{RootCAs: vouches.pool, Certificates: []tls.Certificate{*vouches.issue(t, name, false)}}
	}
	billing := as("billing.test")
	f := h.serve(t, c, billing)
	f.forwards = true
	stranger := f.as(t, as("stranger.test"))
	for _, door := range doors {
		f.expect(t, call{door: door, scene: "204"}, rowRevoked)
		stranger.expect(t, call{door: door}, rowNotAllowed)
	}
	f.tryRESTMistakes(t, doorDropIn, billing)
	http2Config := billing.Clone()
	http2Config.NextProtos = []string{"h2"}
	f.tryHTTP2Mistakes(t, hostOf(f.base), http2Config)
	// The token in the clear, where it must be encrypted.
	for _, addr := range []string{f.addrs["GRPC"], f.addrs["HTTP"]} {
		answer, err := f.send(t.Context(), addr, nil, restMistake{}.request(h.canary, "/token/revoke"), true)
		if err != nil {
			t.Error(err)
		}
		h.look("answers of HTTP/1.1, raw", "mutual TLS, in plaintext", answer)
	}

	var held sync.WaitGroup
	id := f.id(sceneHold)
	held.Go(func() {
		if _, err := f.ask(t.Context(), call{door: doorNative, id: id}); err != nil {
			t.Error(err)
		}
	})
	upstream.await(t, id)
	for _, door := range doors {
		f.expect(t, call{door: door}, rowOverloaded)
	}
	if err := h.crawl(t.Context(), c.name, f.addrs["ADMIN"]); err != nil {
		t.Error(err)
	}
	if err := h.lookAtProcess(c); err != nil {
		t.Error(err)
	}
	if err := c.cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	upstream.release()
	held.Wait()
	h.ended(t, c, "0", nil)
}

// unreachable is quash in front of what only looks like a server of TLS, and then
// without asking it any more.
func (h *hunt) unreachable(t *testing.T) {
	vouches := newAuthority(t)
	// It has heard of the token before, and tells it as long as there is no request.
	named := vouches.issue(t, h.token, false)
	l := listenOn(t, "127.0.0.1:0")
	var serving sync.WaitGroup
	serving.Go(func() {
		for n := 0; ; n++ {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			serving.Go(func() {
				defer conn.Close()
				switch n % 4 {
				case 0:
					_, _ = io.WriteString(conn, "HTTP/1.1 400 "+h.token+"\r\n\r\n"+h.token)
				case 1: // an alert, and what is left of its record
					_, _ = io.WriteString(conn, "\x15\x03\x03\x01\x00\x02\x28"+h.token)
				case 2:
					_, _ = io.WriteString(conn, h.token)
				case 3:
					_ = tls.Server(conn, &tls.Config{Certificates: []tls.Certificate{*named}}).HandshakeContext(t.Context())
				}
				if conn, ok := conn.(*net.TCPConn); ok {
					_ = conn.CloseWrite()
				}
				_, _ = io.Copy(io.Discard, conn)
			})
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		serving.Wait()
	})
	ca, _, _ := vouches.files(t, named)
	c := h.launch(t, "unreachable", []string{"QUASH_UPSTREAM_CA_FILE=" + ca, "QUASH_UPSTREAM_URL=https://localhost:" + portOf(l.Addr().String())},
		append([]string{"quash", "serve"}, anywhere("json")...)...)
	f := h.serve(t, c, nil)
	f.forwards = true
	for _, door := range doors {
		f.expect(t, call{door: door}, rowNeverReached)
	}
	for {
		got, err := f.ask(t.Context(), call{door: doorGRPC})
		if err != nil || got.row != rowNeverReached && got.row != rowCircuitOpen {
			t.Fatalf("an upstream that cannot be reached: %v, %v", got, err)
		}
		if got.row == rowCircuitOpen {
			break
		}
	}
	for _, door := range doors {
		f.expect(t, call{door: door}, rowCircuitOpen)
	}
	if err := h.crawl(t.Context(), c.name, f.addrs["ADMIN"]); err != nil {
		t.Error(err)
	}
	h.end(t, c, nil)
}

// inDefects is a service that panics, and one that takes no calls any more.
func (h *hunt) inDefects(t *testing.T) {
	c := h.launch(t, "defective", nil, "defective")
	c.subcommand = "serve" // it says so as that does
	f := h.serve(t, c, nil)
	for _, door := range doors {
		for name := range defects {
			f.expect(t, call{door: door, scene: name}, rowDefect)
		}
		f.expect(t, call{door: door, scene: "upstream"}, rowDefect)
		f.expect(t, call{door: door, scene: drainedScene}, rowShuttingDown)
	}
	if err := h.crawl(t.Context(), c.name, f.addrs["ADMIN"]); err != nil {
		t.Error(err)
	}
	h.end(t, c, nil)
	if got, want := strings.Count(c.stderr.String(), `"msg":"panic"`), len(doors)*(len(defects)+1); got != want {
		t.Errorf("%d panics are logged, want %d", got, want)
	}
}

// atStart is quash with secrets where its settings are.
func (h *hunt) atStart(t *testing.T) {
	serve := append([]string{"quash", "serve"}, anywhere("json")...)
	for name, tt := range map[string]struct {
		env  []string
		args []string
	}{
		"a URL with a password":         {nil, []string{"--upstream-url", h.fill("https://user:{token}@127.0.0.1")}},
		"a URL with a user":             {nil, []string{"--upstream-url", h.fill("https://{token}@127.0.0.1")}},
		"a URL with a query":            {nil, []string{"--upstream-url", h.fill("https://127.0.0.1/?token={token}")}},
		"a URL that is none":            {nil, []string{"--upstream-url", h.fill("https://user:{token}@127.0.0.1:%zz/")}},
		"no URL":                        {nil, []string{"--upstream-url", h.token}},
		"a variable with a password":    {[]string{h.fill("QUASH_UPSTREAM_URL=https://user:{token}@127.0.0.1")}, nil},
		"a key of two words":            {nil, []string{"--upstream-url", "https://127.0.0.1", "--upstream-api-key-file", write(t, h.apiKey+" "+h.token)}},
		"a key for a certificate":       {nil, []string{"--upstream-url", "https://127.0.0.1", "--upstream-ca-file", write(t, h.apiKey+h.token)}},
		"a key for the allowed callers": {nil, []string{"--upstream-url", "https://127.0.0.1", "--allowed-callers-file", write(t, h.apiKey+" "+h.token)}},
		"an argument":                   {nil, []string{h.token}},
		"a flag of its own":             {nil, []string{"--" + h.token}},
		"a flag's value":                {nil, []string{"--upstream-url", "https://127.0.0.1", "--drain-timeout", h.token}},
		"a variable":                    {[]string{"QUASH_DRAIN_TIMEOUT=" + h.token, "QUASH_HEADER_TIMEOUT=" + h.token, "QUASH_ADMIN_ADDR=" + h.token + ":1"}, nil},
		"a key for one's own":           {nil, []string{"--upstream-url", "https://127.0.0.1", "--tls-cert-file", write(t, h.token), "--tls-key-file", write(t, h.apiKey)}},
	} {
		h.ended(t, h.launch(t, name, tt.env, slices.Concat(serve, tt.args)...), "2", nil)
	}
}

// inSandbox is quash sandbox, and what asks it for tokens.
func (h *hunt) inSandbox(t *testing.T) {
	c := h.launch(t, "sandbox", nil, "quash", "sandbox", "--addr", "127.0.0.1:0")
	addrs, err := c.awaitServing()
	if err != nil {
		t.Fatal(err)
	}
	mint := h.launch(t, "mint", nil, "quash", "sandbox", "mint", "--addr", addrs["SANDBOX"])
	h.ended(t, mint, "0", anyToken) // which is what it is for
	token := strings.TrimSpace(mint.stdout.String())
	h = h.alsoFor(token)
	f := &target{child: c, h: h, base: addrs["SANDBOX"]}
	for _, m := range restMistakes {
		answer, err := f.send(t.Context(), hostOf(f.base), nil, m.request(h.canary, "/token/revoke"), m.partial())
		if err != nil {
			t.Errorf("%s: %v", m.name, err)
		}
		h.look("answers of HTTP/1.1, raw", "sandbox, "+m.name, answer)
	}
	answer, err := f.send(t.Context(), hostOf(f.base), nil, restMistake{header: "SlashID-API-Key: " + sandbox.DefaultAPIKey + "\n", body: `{"token":"` + token + `"}`}.request(h.canary, "/token/revoke"), false)
	if err != nil || !strings.HasPrefix(answer, "HTTP/1.1 204 ") {
		t.Errorf("%q, %v", answer, err)
	}
	f.tryHTTP2Mistakes(t, hostOf(f.base), nil)
	h.end(t, c, nil)
}

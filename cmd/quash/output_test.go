package main

import (
	"bufio"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/quashdev/quash/internal/proctest"
)

// logged is a quash serve whose log goes to a pipe of the test's.
type logged struct {
	*proctest.Process

	log         *bufio.Reader
	pipe        *os.File
	http, admin string
}

func serveLogged(t *testing.T) *logged {
	t.Helper()
	r, w, err := os.Pipe()
	must(t, err)
	t.Cleanup(func() { r.Close() })
	// A shell starts it, so that proctest does not read the log.
	cmd := exec.CommandContext(t.Context(), "sh", "-c", `exec quash serve --upstream-url http://127.0.0.1:1 --drain-delay 0s \
		--grpc-addr 127.0.0.1:0 --http-addr 127.0.0.1:0 --admin-addr 127.0.0.1:0 2>&3`)
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), gorace}
	cmd.ExtraFiles = []*os.File{w}
	p, err := proctest.Start(cmd)
	must(t, err)
	t.Cleanup(p.Kill)
	must(t, w.Close())
	l := &logged{Process: p, log: bufio.NewReader(r), pipe: r}
	line := l.await(t, `"msg":"serving","grpc":"[^"]+","http":"([^"]+)","admin":"([^"]+)"`)
	l.http, l.admin = "http://"+line[1], "http://"+line[2]
	return l
}

// await reads the log until a line matches, and returns the match.
func (l *logged) await(t *testing.T, pattern string) []string {
	t.Helper()
	for {
		line, err := l.log.ReadString('\n')
		if err != nil {
			t.Fatalf("no line matches %s: %v", pattern, err)
		}
		if match := regexp.MustCompile(pattern).FindStringSubmatch(line); match != nil {
			return match
		}
	}
}

// failCalls makes calls that fail, each with a line in the log, until lines are dropped.
func (l *logged) failCalls(t *testing.T) {
	t.Helper()
	for range 10 {
		for range 500 {
			resp, err := http.Post(l.http+"/token/revoke", "application/json", strings.NewReader(`{}`))
			must(t, err)
			_, _ = io.Copy(io.Discard, resp.Body)
			must(t, resp.Body.Close())
			if resp.StatusCode != http.StatusBadRequest {
				t.Fatalf("got status %d, want 400", resp.StatusCode)
			}
		}
		resp, err := http.Get(l.admin + "/metrics")
		must(t, err)
		scrape, err := io.ReadAll(resp.Body)
		must(t, err)
		must(t, resp.Body.Close())
		if regexp.MustCompile(`(?m)^quash_log_lines_dropped_total [1-9]`).Match(scrape) {
			return
		}
	}
	t.Fatal("quash_log_lines_dropped_total is 0 after 5000 lines that nothing read")
}

// Every call is answered, and SIGTERM ends the process in order, whatever becomes of the
// log.
func TestLogReaderFails(t *testing.T) {
	t.Parallel()
	for name, fail := range map[string]func(t *testing.T, l *logged){
		"it stops": func(t *testing.T, l *logged) { l.failCalls(t) },
		"it stops and resumes": func(t *testing.T, l *logged) {
			l.failCalls(t)
			l.await(t, `"level":"WARN","msg":"log lines dropped","count":[1-9]`)
			go func() { _, _ = io.Copy(io.Discard, l.log) }()
		},
		"it exits": func(t *testing.T, l *logged) {
			must(t, l.pipe.Close())
			l.failCalls(t)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := serveLogged(t)
			fail(t, l)
			must(t, l.Stop())
		})
	}
}

// Output that cannot be written has an exit code, instead of ending the process with
// SIGPIPE.
func TestUnwritableOutput(t *testing.T) {
	t.Parallel()
	p, addrs, err := proctest.Serve("quash", []string{"PATH=" + os.Getenv("PATH"), gorace},
		"dev", "--sandbox-addr", "127.0.0.1:0", "--grpc-addr", "127.0.0.1:0", "--http-addr", "127.0.0.1:0", "--admin-addr", "127.0.0.1:0")
	must(t, err)
	t.Cleanup(p.Kill)
	box := addrs.Sandbox
	resp, err := http.Post(box+"/_sandbox/tokens", "", nil)
	must(t, err)
	minted, err := io.ReadAll(resp.Body)
	must(t, err)
	must(t, resp.Body.Close())
	token := filepath.Join(t.TempDir(), "token")
	fill(t, token, string(minted))
	for name, tt := range map[string]struct {
		args []string
		code int
	}{
		"version": {[]string{"version"}, exitFailure},
		"help":    {[]string{"serve", "--help"}, exitFailure},
		"dev":     {[]string{"dev", "--sandbox-addr", "127.0.0.1:0", "--grpc-addr", "127.0.0.1:0", "--http-addr", "127.0.0.1:0", "--admin-addr", "127.0.0.1:0"}, exitFailure},
		"sandbox": {[]string{"sandbox", "--addr", "127.0.0.1:0"}, exitFailure},
		"mint":    {[]string{"sandbox", "mint", "--addr", box}, exitFailure},
		"revoke":  {[]string{"revoke", "--insecure", "--addr", addrs.GRPC, "--token-file", token}, exitIncomplete},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r, w, err := os.Pipe()
			must(t, err)
			must(t, r.Close())
			defer w.Close()
			cmd := exec.CommandContext(t.Context(), "quash", tt.args...)
			var stderr strings.Builder
			cmd.Stdout, cmd.Stderr = w, &stderr
			_ = cmd.Run()
			if got := exitStatus(cmd.ProcessState); got != strconv.Itoa(tt.code) || !strings.Contains(stderr.String(), "broken pipe") {
				t.Errorf("it ended with %s, want %d, and wrote %s", got, tt.code, &stderr)
			}
		})
	}
}

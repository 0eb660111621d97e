package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/quashdev/quash/sandbox"
)

const (
	startPatience = 30 * time.Second
	stopPatience  = 30 * time.Second
)

// quash is the process that is soaked.
type quash struct {
	cmd                  *exec.Cmd
	logPath              string
	grpc, rest, adminURL string

	ended chan struct{} // closed once it has exited
	fate  error         // of exec.Cmd.Wait
}

// startQuash builds quash in the folder tmp, and starts it in front of u. Its log
// goes to logPath.
func startQuash(ctx context.Context, tmp, logPath string, u *upstream) (*quash, error) {
	binary := filepath.Join(tmp, "quash")
	build := exec.CommandContext(ctx, "go", "build", "-o", binary, "./cmd/quash") //nolint:gosec // a path of our own
	if output, err := build.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("build quash (run this from the repository's root): %w\n%s", err, output)
	}
	caFile, keyFile := filepath.Join(tmp, "ca.pem"), filepath.Join(tmp, "key")
	for name, content := range map[string][]byte{caFile: u.authority(), keyFile: []byte(sandbox.DefaultAPIKey)} {
		if err := os.WriteFile(name, content, 0o600); err != nil {
			return nil, err
		}
	}
	logFile, err := os.Create(logPath)
	if err != nil {
		return nil, err
	}
	defer logFile.Close() // the process has its own
	q := &quash{logPath: logPath, ended: make(chan struct{})}
	// Not bound to ctx: whatever ends the run, quash is stopped in order.
	q.cmd = exec.Command(binary, "serve", //nolint:gosec,noctx // the program that was just built
		"--upstream-url", u.url(), "--upstream-ca-file", caFile, "--upstream-api-key-file", keyFile,
		"--grpc-addr", "127.0.0.1:0", "--http-addr", "127.0.0.1:0", "--admin-addr", "127.0.0.1:0",
		"--drain-delay", "0s")
	// None of the caller's QUASH_ variables; and profiles that see small leaks.
	q.cmd.Env = []string{"GODEBUG=memprofilerate=4096"}
	q.cmd.Stdout, q.cmd.Stderr = logFile, logFile
	if err := q.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start quash: %w", err)
	}
	go func() {
		defer close(q.ended)
		q.fate = q.cmd.Wait()
	}()
	if err := q.awaitServing(ctx); err != nil {
		q.kill()
		return nil, err
	}
	return q, nil
}

// awaitServing waits until quash says where it serves.
func (q *quash) awaitServing(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startPatience)
	defer cancel()
	look := time.NewTicker(20 * time.Millisecond)
	defer look.Stop()
	for {
		written, err := os.ReadFile(q.logPath)
		if err != nil {
			return err
		}
		if q.readAddrs(written) {
			return nil
		}
		select {
		case <-look.C:
		case <-q.ended:
			return fmt.Errorf("quash did not start: %w\n%s", q.fate, written)
		case <-ctx.Done():
			return fmt.Errorf("quash did not say that it serves: %w\n%s", ctx.Err(), written)
		}
	}
}

// readAddrs finds the line with the addresses among those written so far.
func (q *quash) readAddrs(written []byte) bool {
	for line := range bytes.Lines(written) {
		var serving struct {
			Msg   string `json:"msg"`
			GRPC  string `json:"grpc"`
			HTTP  string `json:"http"`
			Admin string `json:"admin"`
		}
		if json.Unmarshal(line, &serving) == nil && serving.Msg == "serving" {
			q.grpc, q.rest, q.adminURL = serving.GRPC, "http://"+serving.HTTP, "http://"+serving.Admin
			return true
		}
	}
	return false
}

// stop asks quash to end, and returns what it says of that.
func (q *quash) stop() error {
	if err := q.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return fmt.Errorf("stop quash: %w", err)
	}
	patience := time.NewTimer(stopPatience)
	defer patience.Stop()
	select {
	case <-q.ended:
	case <-patience.C:
		q.kill()
		return fmt.Errorf("quash was idle, but did not stop within %s of SIGTERM", stopPatience)
	}
	if q.fate != nil {
		return fmt.Errorf("quash stopped with %w", q.fate)
	}
	return nil
}

// kill ends quash if it still runs.
func (q *quash) kill() {
	_ = q.cmd.Process.Kill()
	<-q.ended
}

// checkLog returns what must not be in quash's log: errors, which a panic would be,
// anything that is no log line, such as a crash, and tokens.
func checkLog(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	lines := bufio.NewReader(f)
	for n := 1; ; n++ {
		line, err := lines.ReadString('\n')
		if errors.Is(err, io.EOF) && line == "" {
			return nil
		}
		if err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		if bad := checkLogLine(line); bad != "" {
			return fmt.Errorf("%s:%d %s", path, n, bad)
		}
	}
}

func checkLogLine(line string) (bad string) {
	var entry struct {
		Level string `json:"level"`
	}
	switch err := json.Unmarshal([]byte(line), &entry); {
	case err != nil:
		return "is no log line"
	case entry.Level == "ERROR":
		return "is an error"
	case strings.Contains(line, "eyJ"): // how every JWT begins
		return "holds a token"
	}
	return ""
}

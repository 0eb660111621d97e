// Package testbed runs quash as a process in front of a sandbox of SlashID in this one.
package testbed

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/quashdev/quash/internal/proctest"
	"github.com/quashdev/quash/sandbox"
)

// Quash is a quash serve that runs. Kill, or Stop, must be called.
type Quash struct {
	*proctest.Process
	proctest.Addrs

	Binary  string
	LogPath string
}

// Start builds quash into the folder tmp and starts it in front of an upstream, with an
// environment of variables as NAME=VALUE. Its log goes to the file logPath.
func Start(ctx context.Context, tmp, logPath string, u *Upstream, environment ...string) (*Quash, error) {
	binary, err := proctest.Build(ctx, tmp)
	if err != nil {
		return nil, err
	}
	ca, key := filepath.Join(tmp, "ca.pem"), filepath.Join(tmp, "api-key")
	err = errors.Join(
		os.WriteFile(ca, u.authority, 0o600),
		os.WriteFile(key, []byte(sandbox.DefaultAPIKey), 0o600),
		os.MkdirAll(filepath.Dir(logPath), 0o755), //nolint:gosec // holds no secret
	)
	if err != nil {
		return nil, err
	}
	log, err := os.Create(logPath)
	if err != nil {
		return nil, err
	}
	// Not bound to ctx: an interrupted run ends its load first.
	cmd := exec.Command(binary, "serve", //nolint:gosec,noctx // the program that was just built
		"--upstream-url", u.URL(), "--upstream-ca-file", ca, "--upstream-api-key-file", key,
		"--grpc-addr", "127.0.0.1:0", "--http-addr", "127.0.0.1:0", "--admin-addr", "127.0.0.1:0",
		"--reflection", "--drain-delay", "0s")
	cmd.Env = environment
	cmd.Stderr = log
	p, err := proctest.Start(cmd)
	if err != nil {
		return nil, err
	}
	addrs, err := p.Addrs()
	if err != nil {
		p.Kill()
		return nil, err
	}
	return &Quash{Process: p, Addrs: addrs, Binary: binary, LogPath: logPath}, nil
}

// Stop ends quash in order.
func (q *Quash) Stop() error {
	if q.Process.Stop() != nil { // the text of the error would be the whole log
		return fmt.Errorf("quash was idle, but did not stop in order; see %s", q.LogPath)
	}
	return nil
}

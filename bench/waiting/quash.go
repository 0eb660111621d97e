package main

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// quash is the process that is measured.
type quash struct {
	cmd               *exec.Cmd
	grpc, rest, admin string
	// tls is how callers see that it is this one.
	tls *tls.Config

	ended chan struct{} // closed once it has exited
}

// build makes the binary.
func build(ctx context.Context, tmp string) (binary string, err error) {
	binary = filepath.Join(tmp, "quash")
	cmd := exec.CommandContext(ctx, "go", "build", "-o", binary, "./cmd/quash") //nolint:gosec // a path of our own
	if output, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build quash (run this from the repository's root): %w\n%s", err, output)
	}
	return binary, nil
}

// setting is what quash is started with.
type setting struct {
	binary, tmp string
	memory      string // GOMEMLIMIT
}

// startQuash starts it in front of u, with every limit of its own at its default.
func startQuash(ctx context.Context, where setting, u *upstream) (*quash, error) {
	_, certPEM, keyPEM := newCertificate()
	args := []string{
		"serve", "--upstream-url", u.url,
		"--grpc-addr", "127.0.0.1:0", "--http-addr", "127.0.0.1:0", "--admin-addr", "127.0.0.1:0",
	}
	for _, f := range []struct {
		flag    string
		content []byte
	}{
		{"--upstream-ca-file", u.authority},
		{"--upstream-api-key-file", []byte("key")},
		{"--tls-cert-file", certPEM},
		{"--tls-key-file", keyPEM},
	} {
		name := filepath.Join(where.tmp, strings.TrimPrefix(f.flag, "--"))
		if err := os.WriteFile(name, f.content, 0o600); err != nil {
			return nil, err
		}
		args = append(args, f.flag, name)
	}
	authorities := x509.NewCertPool()
	authorities.AppendCertsFromPEM(certPEM)
	q := &quash{
		cmd:   exec.CommandContext(ctx, where.binary, args...), //nolint:gosec // the program that was just built
		tls:   &tls.Config{MinVersion: tls.VersionTLS13, RootCAs: authorities},
		ended: make(chan struct{}),
	}
	q.cmd.Env = []string{"GOMEMLIMIT=" + where.memory} // and none of the caller's QUASH_ variables
	said, stderr := io.Pipe()
	q.cmd.Stderr = stderr
	if err := q.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start quash: %w", err)
	}
	go func() {
		defer close(q.ended)
		_ = q.cmd.Wait() // which is killed
		_ = stderr.Close()
	}()
	if err := q.readAddrs(said); err != nil {
		q.kill()
		return nil, err
	}
	go func() { _, _ = io.Copy(io.Discard, said) }()
	return q, nil
}

// readAddrs reads the log up to where quash says where it serves.
func (q *quash) readAddrs(log io.Reader) error {
	lines, before := bufio.NewReader(log), ""
	for {
		line, err := lines.ReadString('\n')
		if err != nil {
			return fmt.Errorf("quash did not start: %w\n%s", err, before+line)
		}
		var entry struct {
			Msg   string `json:"msg"`
			GRPC  string `json:"grpc"`
			HTTP  string `json:"http"`
			Admin string `json:"admin"`
		}
		if json.Unmarshal([]byte(line), &entry) == nil && entry.Msg == "serving" {
			q.grpc, q.rest, q.admin = entry.GRPC, entry.HTTP, entry.Admin
			return nil
		}
		before += line
	}
}

// kill ends it: nothing that is left to it is worth a drain.
func (q *quash) kill() {
	_ = q.cmd.Process.Kill()
	<-q.ended
}

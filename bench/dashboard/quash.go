package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

const (
	startPatience = 30 * time.Second
	stopPatience  = 30 * time.Second
	// fewInFlight is a limit that the load reaches now and then.
	fewInFlight = "40"
)

// quash is a quash dev.
type quash struct {
	cmd   *exec.Cmd
	ended chan error
	// Where it serves: host:port for gRPC, URLs for the others.
	grpc, rest, admin, sandbox string
}

// startQuash builds quash in the folder tmp, and starts it.
func startQuash(ctx context.Context, tmp, out string, a *authority) (*quash, error) {
	binary := filepath.Join(tmp, "quash")
	build := exec.CommandContext(ctx, "go", "build", "-o", binary, "./cmd/quash") //nolint:gosec // a path of our own
	if output, err := build.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("build quash (run this from the repository's root): %w\n%s", err, output)
	}
	log, err := os.Create(filepath.Join(out, "quash.log"))
	if err != nil {
		return nil, err
	}
	defer log.Close() // the process has its own
	q := &quash{ended: make(chan error, 1)}
	// Not bound to ctx: whatever ends the run, quash is stopped in order.
	q.cmd = exec.Command(binary, "dev", //nolint:gosec,noctx // the program that was just built
		"--grpc-addr", "127.0.0.1:0", "--http-addr", "127.0.0.1:0", "--admin-addr", "127.0.0.1:0",
		"--sandbox-addr", "127.0.0.1:0", "--log-format", "json", "--max-in-flight", fewInFlight,
		"--tls-cert-file", a.certFile, "--tls-key-file", a.keyFile)
	q.cmd.Env = []string{} // none of the caller's QUASH_ variables
	q.cmd.Stderr = log
	greeting, err := q.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := q.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start quash: %w", err)
	}
	late := time.AfterFunc(startPatience, func() { _ = q.cmd.Process.Kill() })
	defer late.Stop()
	read := q.readGreeting(greeting)
	go func() {
		_, _ = io.Copy(io.Discard, greeting)
		q.ended <- q.cmd.Wait()
	}()
	if !read {
		return nil, fmt.Errorf("quash did not say where it serves; see %s", log.Name())
	}
	return q, nil
}

// readGreeting reads the addresses, and reports whether they all came.
func (q *quash) readGreeting(greeting io.Reader) bool {
	where := map[string]*string{"gRPC": &q.grpc, "REST": &q.rest, "admin": &q.admin, "sandbox": &q.sandbox}
	lines := bufio.NewScanner(greeting)
	for len(where) > 0 && lines.Scan() {
		name, addr, _ := strings.Cut(strings.TrimSpace(lines.Text()), " ")
		if to, ok := where[name]; ok {
			*to = strings.TrimSpace(addr)
			delete(where, name)
		}
	}
	return len(where) == 0
}

// stop asks quash to end, and waits for that.
func (q *quash) stop() error {
	_ = q.cmd.Process.Signal(syscall.SIGTERM)
	late := time.AfterFunc(stopPatience, func() { _ = q.cmd.Process.Kill() })
	defer late.Stop()
	if err := <-q.ended; err != nil {
		return fmt.Errorf("quash stopped with %w", err)
	}
	return nil
}

// saveScrape writes what Prometheus is told to a file.
func (q *quash) saveScrape(ctx context.Context, path string) error {
	body, err := get(ctx, q.admin+"/metrics")
	if err != nil {
		return fmt.Errorf("scrape quash: %w", err)
	}
	return os.WriteFile(path, body, 0o644) //nolint:gosec // results for everyone to read
}

// get asks for a page on loopback.
func get(ctx context.Context, url string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	var body bytes.Buffer
	if _, err := body.ReadFrom(resp.Body); err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s: %s", resp.Status, body.String())
	}
	return body.Bytes(), nil
}

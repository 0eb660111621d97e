// Package quashdev runs quash dev for the commands in bench: quash in front of its
// sandbox, in a process of its own.
package quashdev

import (
	"bufio"
	"context"
	"fmt"
	"io"
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
)

// Process is a quash dev that runs. Stop must be called.
type Process struct {
	// Where it serves: host:port for gRPC, URLs for the others.
	GRPC, REST, Admin, Sandbox string

	cmd   *exec.Cmd
	ended chan error
}

// Start builds quash in the folder tmp, and starts it on free ports of loopback, with
// further flags of its own. Its log goes to the file logPath, as JSON. What it greets
// with does not: there are tokens in it.
func Start(ctx context.Context, tmp, logPath string, flags ...string) (*Process, error) {
	binary := filepath.Join(tmp, "quash")
	build := exec.CommandContext(ctx, "go", "build", "-o", binary, "./cmd/quash") //nolint:gosec // a path of our own
	if output, err := build.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("build quash (run this from the repository's root): %w\n%s", err, output)
	}
	log, err := os.Create(logPath)
	if err != nil {
		return nil, err
	}
	defer log.Close() // the process has its own
	p := &Process{ended: make(chan error, 1)}
	// Not bound to ctx: whatever ends the run, quash is stopped in order.
	p.cmd = exec.Command(binary, append([]string{ //nolint:gosec,noctx // the program that was just built
		"dev", "--grpc-addr", "127.0.0.1:0", "--http-addr", "127.0.0.1:0", "--admin-addr", "127.0.0.1:0",
		"--sandbox-addr", "127.0.0.1:0", "--log-format", "json",
	}, flags...)...)
	p.cmd.Env = []string{} // none of the caller's QUASH_ variables
	p.cmd.Stderr = log
	greeting, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start quash: %w", err)
	}
	late := time.AfterFunc(startPatience, func() { _ = p.cmd.Process.Kill() })
	defer late.Stop()
	read := p.readGreeting(greeting)
	go func() {
		_, _ = io.Copy(io.Discard, greeting)
		p.ended <- p.cmd.Wait()
	}()
	if !read {
		return nil, fmt.Errorf("quash did not say where it serves; see %s", logPath)
	}
	return p, nil
}

// readGreeting reads the addresses, and reports whether they all came.
func (p *Process) readGreeting(greeting io.Reader) bool {
	where := map[string]*string{"gRPC": &p.GRPC, "REST": &p.REST, "admin": &p.Admin, "sandbox": &p.Sandbox}
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

// Stop asks quash to end, and waits for that.
func (p *Process) Stop() error {
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	late := time.AfterFunc(stopPatience, func() { _ = p.cmd.Process.Kill() })
	defer late.Stop()
	if err := <-p.ended; err != nil {
		return fmt.Errorf("quash stopped with %w", err)
	}
	return nil
}

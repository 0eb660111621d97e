// Package proctest runs quash and other commands as processes, for tests, benchmarks and
// end-to-end tests.
package proctest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"syscall"
	"time"
)

// patience bounds every wait for a process. Only a process that hangs reaches it.
const patience = time.Minute

// Build builds quash into the folder dir, with flags of go build, and returns the path of
// the binary. It fails with the compiler's output.
func Build(ctx context.Context, dir string, flags ...string) (string, error) {
	_, self, _, ok := runtime.Caller(0)
	if !ok {
		return "", errors.New("build quash: the source is not known")
	}
	root := filepath.Join(filepath.Dir(self), "..", "..")
	binary := filepath.Join(dir, "quash")
	args := append([]string{"build", "-o", binary}, flags...)
	cmd := exec.CommandContext(ctx, "go", append(args, "./cmd/quash")...) //nolint:gosec // the caller chooses the path
	cmd.Dir = root
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build quash: %w\n%s", err, out)
	}
	return binary, nil
}

// Addrs has the addresses of a quash as host:port, and the base URL of the sandbox of quash dev
// and quash sandbox. Addresses that a command does not serve are empty.
type Addrs struct{ GRPC, HTTP, Admin, Sandbox string }

// The lines by which a command reports its addresses, in both log formats.
var (
	servingLine  = regexp.MustCompile(`(?m)\bserving\b.*\bgrpc"?[=:]"?([^\s",]+).*\bhttp"?[=:]"?([^\s",]+).*\badmin"?[=:]"?([^\s",}]+)`)
	greetingLine = regexp.MustCompile(`(?m)^  sandbox +(http://\S+)$`)
	sandboxLine  = regexp.MustCompile(`^sandbox of SlashID on (http://[^,\s]+)`)
)

// Process is a command that was started. Stop or Kill must be called.
type Process struct {
	// Stdout and Stderr are the output so far.
	Stdout, Stderr *Output

	cmd  *exec.Cmd
	done chan struct{} // closed once it has exited and its output is complete
}

// Start starts a command. If the Env of the command is nil, its environment is empty, so that
// no QUASH_ variable of this process applies. Its output is also copied to the Stdout and
// Stderr of the command if they are set.
func Start(cmd *exec.Cmd) (*Process, error) {
	p := &Process{
		Stdout: newOutput(cmd.Stdout),
		Stderr: newOutput(cmd.Stderr),
		cmd:    cmd,
		done:   make(chan struct{}),
	}
	cmd.Stdout, cmd.Stderr = p.Stdout, p.Stderr
	if cmd.Env == nil {
		cmd.Env = []string{}
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", cmd.Path, err)
	}
	go func() {
		defer close(p.done)
		_ = cmd.Wait() // State has the result
	}()
	return p, nil
}

// Serve starts quash with arguments, and waits until it serves. environment holds
// variables as NAME=VALUE.
func Serve(binary string, environment []string, args ...string) (*Process, Addrs, error) {
	cmd := exec.Command(binary, args...) //nolint:gosec,noctx // the caller chooses the program; Stop and Kill end it
	cmd.Env = append([]string{}, environment...)
	p, err := Start(cmd)
	if err != nil {
		return nil, Addrs{}, err
	}
	addrs, err := p.Addrs()
	if err != nil {
		p.Kill()
		return nil, Addrs{}, err
	}
	return p, addrs, nil
}

// Addrs waits until quash serve, dev or sandbox reports its addresses.
func (p *Process) Addrs() (addrs Addrs, err error) {
	var match []string
	switch subcommand := p.subcommand(); subcommand {
	case "sandbox":
		if match, err = p.Await(p.Stdout, sandboxLine); err == nil {
			addrs.Sandbox = match[1]
		}
		return addrs, err
	case "dev":
		if match, err = p.Await(p.Stdout, greetingLine); err != nil {
			return addrs, err
		}
		addrs.Sandbox = match[1]
	}
	if match, err = p.Await(p.Stderr, servingLine); err != nil {
		return addrs, err
	}
	addrs.GRPC, addrs.HTTP, addrs.Admin = match[1], match[2], match[3]
	return addrs, nil
}

func (p *Process) subcommand() string {
	for i, arg := range p.cmd.Args[:len(p.cmd.Args)-1] {
		if filepath.Base(arg) == "quash" {
			return p.cmd.Args[i+1]
		}
	}
	return ""
}

// Await waits until the complete lines of an output match, and returns the match.
func (p *Process) Await(output *Output, re *regexp.Regexp) ([]string, error) {
	timeout := time.NewTimer(patience)
	defer timeout.Stop()
	for ended := false; ; {
		text, grown := output.read()
		if match := re.FindStringSubmatch(text[:strings.LastIndexByte(text, '\n')+1]); match != nil {
			return match, nil
		}
		if ended {
			return nil, fmt.Errorf("the process ended without a match for %#q\n%s", re, p)
		}
		select {
		case <-grown:
		case <-p.done:
			ended = true // check the last output, then give up
		case <-timeout.C:
			return nil, fmt.Errorf("no match for %#q within %s\n%s", re, patience, p)
		}
	}
}

// Signal sends a signal.
func (p *Process) Signal(sig os.Signal) error { return p.cmd.Process.Signal(sig) }

// PID returns the process id.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Done is closed once the process has exited and its output is complete.
func (p *Process) Done() <-chan struct{} { return p.done }

// State returns the state of the process after its exit.
func (p *Process) State() *os.ProcessState { return p.cmd.ProcessState }

// Wait waits for the exit of the process.
func (p *Process) Wait() error {
	select {
	case <-p.done:
		return nil
	case <-time.After(patience):
		return fmt.Errorf("the process has not ended within %s\n%s", patience, p)
	}
}

// Stop sends SIGTERM and waits for the exit. It fails if the process does not exit, or exits
// with another code than 0.
func (p *Process) Stop() error {
	if err := p.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	if err := p.Wait(); err != nil {
		p.Kill()
		return err
	}
	if !p.State().Success() {
		return fmt.Errorf("the process ended with %s\n%s", p.State(), p)
	}
	return nil
}

// Kill kills the process if it still runs, and waits for its exit.
func (p *Process) Kill() {
	_ = p.cmd.Process.Kill()
	<-p.done
}

// String returns the command with its output, for error messages.
func (p *Process) String() string {
	return fmt.Sprintf("[%s]\n[stdout]\n%s[stderr]\n%s", strings.Join(p.cmd.Args, " "), p.Stdout, p.Stderr)
}

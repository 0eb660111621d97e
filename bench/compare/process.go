package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
)

// addrs are where a process serves. Each says so in its log as quash does, so one reader
// does for all.
type addrs struct {
	Msg   string `json:"msg"`
	GRPC  string `json:"grpc"`
	HTTP  string `json:"http"`
	Admin string `json:"admin"`
}

const servingMsg = "serving"

// process is something that serves, and all that it started: a process group.
type process struct {
	addrs

	cmd   *exec.Cmd
	ended chan struct{} // closed once it has exited
}

// start starts a process, which ends with ctx, and reads where it serves.
func start(ctx context.Context, cmd *exec.Cmd) (*process, error) {
	log, stderr, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	cmd.Stderr = stderr
	p, err := launch(ctx, cmd)
	_ = stderr.Close() // the process has its own
	if err != nil {
		_ = log.Close()
		return nil, err
	}
	lines := bufio.NewReader(log)
	if p.addrs, err = readAddrs(lines); err != nil {
		p.stop()
		_ = log.Close()
		return nil, fmt.Errorf("%s did not start: %w", cmd.Path, err)
	}
	go func() {
		defer log.Close()
		_, _ = io.Copy(io.Discard, lines)
	}()
	return p, nil
}

// launch starts a process that says nothing.
func launch(ctx context.Context, cmd *exec.Cmd) (*process, error) {
	// A group of its own: Ctrl-C is for the harness, which ends the others. Should it be
	// killed, the kernel does.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
	if cmd.Env == nil {
		cmd.Env = []string{} // none of the caller's
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", cmd.Path, err)
	}
	p := &process{cmd: cmd, ended: make(chan struct{})}
	cancelled := context.AfterFunc(ctx, p.kill)
	go func() {
		defer close(p.ended)
		defer cancelled()
		_ = cmd.Wait() // which is killed
	}()
	return p, nil
}

// readAddrs reads a log up to where it says where the process serves.
func readAddrs(log *bufio.Reader) (addrs, error) {
	var before strings.Builder
	for {
		line, err := log.ReadString('\n')
		var entry addrs
		if json.Unmarshal([]byte(line), &entry) == nil && entry.Msg == servingMsg {
			return entry, nil
		}
		before.WriteString(line)
		if errors.Is(err, io.EOF) {
			return addrs{}, fmt.Errorf("it ended, and said:\n%s", before.String())
		}
		if err != nil {
			return addrs{}, err
		}
	}
}

// kill ends the whole group: nothing that is left to it is worth a drain.
func (p *process) kill() { _ = syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL) }

// stop ends it, and waits for that.
func (p *process) stop() {
	select {
	case <-p.ended: // its number may be another's by now
	default:
		p.kill()
		<-p.ended
	}
}

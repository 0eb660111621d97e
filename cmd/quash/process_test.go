package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
)

// process is a command that runs beside a test.
type process struct {
	cmd            *exec.Cmd
	subcommand     string
	stdout, stderr *output
	ended          chan struct{} // closed once it has exited and its output is complete
}

// signs are what the servers write once they serve. Named groups become
// environment variables, after the process's name.
var signs = map[string][]sign{
	"serve":   {{"stderr", serving}},
	"dev":     {{"stdout", `(?s)  sandbox +(?P<SANDBOX>http://\S+)\n.*\nStop: `}, {"stderr", serving}},
	"sandbox": {{"stdout", `^sandbox of SlashID on (?P<SANDBOX>http://[^,\s]+)`}},
}

type sign struct{ stream, pattern string }

// serving is for both formats of the log.
const serving = `\bserving\b.*\bgrpc"?[=:]"?(?P<GRPC>[^\s",]+).*\bhttp"?[=:]"?(?P<HTTP>[^\s",]+).*\badmin"?[=:]"?(?P<ADMIN>[^\s",}]+)`

func newProcess(argv []string) *process {
	p := &process{
		cmd:    exec.Command(argv[0], argv[1:]...),
		stdout: newOutput(),
		stderr: newOutput(),
		ended:  make(chan struct{}),
	}
	if i := slices.Index(argv, "quash"); i >= 0 && i+1 < len(argv) {
		p.subcommand = argv[i+1]
	}
	p.cmd.Stdout, p.cmd.Stderr = p.stdout, p.stderr
	return p
}

func (p *process) start() error {
	if err := p.cmd.Start(); err != nil {
		return err
	}
	go func() {
		defer close(p.ended)
		_ = p.cmd.Wait() // the state has it all
	}()
	return nil
}

// awaitServing waits until a server serves, and returns its addresses: GRPC, HTTP,
// ADMIN, SANDBOX.
func (p *process) awaitServing() (addrs map[string]string, err error) {
	addrs = map[string]string{}
	for _, s := range signs[p.subcommand] {
		re := regexp.MustCompile(`(?m)` + s.pattern)
		match, err := p.await(s.stream, re)
		if err != nil {
			return nil, err
		}
		for i, group := range re.SubexpNames() {
			if group != "" {
				addrs[group] = match[i]
			}
		}
	}
	return addrs, nil
}

// await waits until the complete lines of a stream match.
func (p *process) await(stream string, re *regexp.Regexp) ([]string, error) {
	from, ok := map[string]*output{"stdout": p.stdout, "stderr": p.stderr}[stream]
	if !ok {
		return nil, fmt.Errorf("unknown stream %s", stream)
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	match, err := from.await(ctx, re, p.ended)
	if err != nil {
		return nil, fmt.Errorf("no match for %#q in %s: %w\n%s", re, stream, err, p)
	}
	return match, nil
}

// kill ends the process if it still runs.
func (p *process) kill() {
	_ = p.cmd.Process.Kill()
	<-p.ended
}

// fate is the exit code of an ended process, or the signal that ended it.
func (p *process) fate() string {
	status, ok := p.cmd.ProcessState.Sys().(syscall.WaitStatus)
	if !ok || !status.Signaled() {
		return strconv.Itoa(p.cmd.ProcessState.ExitCode())
	}
	switch status.Signal() {
	case syscall.SIGINT:
		return "INT"
	case syscall.SIGTERM:
		return "TERM"
	default:
		return status.Signal().String()
	}
}

func (p *process) String() string {
	return fmt.Sprintf("[%s]\n[stdout]\n%s[stderr]\n%s", strings.Join(p.cmd.Args, " "), p.stdout, p.stderr)
}

// output is what a process has written so far.
type output struct {
	mu    sync.Mutex
	text  bytes.Buffer
	grown chan struct{} // closed and replaced whenever there is more
}

func newOutput() *output { return &output{grown: make(chan struct{})} }

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	close(o.grown)
	o.grown = make(chan struct{})
	return o.text.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

// await blocks until re matches the complete lines, and returns the match.
func (o *output) await(ctx context.Context, re *regexp.Regexp, ended <-chan struct{}) ([]string, error) {
	for over := false; ; {
		o.mu.Lock()
		text, grown := o.text.String(), o.grown
		o.mu.Unlock()
		lines := text[:strings.LastIndexByte(text, '\n')+1]
		if match := re.FindStringSubmatch(lines); match != nil {
			return match, nil
		}
		if over {
			return nil, errors.New("the process has ended")
		}
		select {
		case <-grown:
		case <-ended:
			over = true // look at what came last
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

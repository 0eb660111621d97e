package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/quashdev/quash/internal/secrettest"
)

// process is a command that runs beside its script.
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

func start(ts *testscript.TestScript, neg bool, args []string) {
	launch(ts, neg, args)
	p := processOf(ts, args[0])
	for _, s := range signs[p.subcommand] {
		re, match := p.await(ts, s.stream, s.pattern)
		for i, group := range re.SubexpNames() {
			if group != "" {
				ts.Setenv(args[0]+"_"+group, match[i])
			}
		}
		if i := re.SubexpIndex("GRPC"); i > 0 {
			ready := awaitGRPC
			if slices.Contains(args, "--tls-cert-file") {
				ready = awaitTLS
			}
			ts.Check(ready(match[i]))
		}
	}
	fmt.Fprint(ts.Stdout(), p.stdout)
	fmt.Fprint(ts.Stderr(), p.stderr)
}

func launch(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: start|launch NAME PROGRAM [ARG…]")
	}
	name, argv := args[0], args[1:]
	s := sceneOf(ts)
	if s.processes[name] != nil {
		ts.Fatalf("%s is running", name)
	}
	cmd := exec.Command(argv[0], argv[1:]...) // killed at the end of the script
	cmd.Dir = ts.MkAbs(".")
	// What the script has changed of its environment does not come here: see
	// launch NAME env QUASH_X=y quash …
	cmd.Env = []string{"PATH=" + ts.Getenv("PATH"), "GORACE=" + ts.Getenv("GORACE"), "HOME=" + ts.Getenv("HOME")}
	if dir := ts.Getenv("GOCOVERDIR"); dir != "" {
		cmd.Env = append(cmd.Env, "GOCOVERDIR="+dir)
	}
	p, err := startProcess(cmd)
	ts.Check(err)
	s.processes[name] = p
}

// startProcess starts a command that is to be killed.
func startProcess(cmd *exec.Cmd) (*process, error) {
	p := &process{cmd: cmd, stdout: newOutput(), stderr: newOutput(), ended: make(chan struct{})}
	if i := slices.Index(cmd.Args, "quash"); i >= 0 && i+1 < len(cmd.Args) {
		p.subcommand = cmd.Args[i+1]
	}
	cmd.Stdout, cmd.Stderr = p.stdout, p.stderr
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		defer close(p.ended)
		_ = cmd.Wait() // the state has it all
	}()
	return p, nil
}

func await(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage: await NAME stdout|stderr REGEXP")
	}
	processOf(ts, args[0]).await(ts, args[1], args[2])
}

func sendSignal(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: signal NAME SIGNAL")
	}
	sig, ok := map[string]os.Signal{"INT": os.Interrupt, "TERM": syscall.SIGTERM, "KILL": os.Kill}[args[1]]
	if !ok {
		ts.Fatalf("unknown signal %s", args[1])
	}
	ts.Check(processOf(ts, args[0]).cmd.Process.Signal(sig))
}

// ends makes the process's whole output the script's stdout and stderr.
func ends(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: ends NAME CODE|SIGNAL")
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	s, p := sceneOf(ts), processOf(ts, args[0])
	select {
	case <-p.ended:
	case <-ctx.Done():
		ts.Fatalf("%s has not ended\n%s", args[0], p)
	}
	delete(s.processes, args[0])
	fmt.Fprint(ts.Stdout(), p.stdout)
	fmt.Fprint(ts.Stderr(), p.stderr)
	ts.Check(s.verdict(p))
	if got := p.fate(); got != args[1] {
		ts.Fatalf("%s ended with %s, want %s", args[0], got, args[1])
	}
}

func processOf(ts *testscript.TestScript, name string) *process {
	p := sceneOf(ts).processes[name]
	if p == nil {
		ts.Fatalf("there is no process %s", name)
	}
	return p
}

// await waits until the complete lines of a stream match.
func (p *process) await(ts *testscript.TestScript, stream, pattern string) (*regexp.Regexp, []string) {
	from, ok := map[string]*output{"stdout": p.stdout, "stderr": p.stderr}[stream]
	if !ok {
		ts.Fatalf("unknown stream %s", stream)
	}
	re := regexp.MustCompile(`(?m)` + pattern)
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	match, err := from.await(ctx, re, p.ended)
	if err != nil {
		ts.Fatalf("no match for %#q in %s: %v\n%s", pattern, stream, err, p)
	}
	return re, match
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

// verdict says what no server may ever do, on any path: race, or write down a
// token. It is for an ended process.
func (s *scene) verdict(p *process) error {
	logs := p.stderr.String()
	if strings.Contains(logs, "DATA RACE") {
		return errors.New("a data race")
	}
	if p.subcommand != "dev" { // whose greeting has tokens to paste
		logs += p.stdout.String()
	}
	if anyToken.MatchString(logs) {
		return errors.New("the output has a token")
	}
	var secrets []secrettest.Secret
	for _, token := range s.tokens {
		secrets = append(secrets, secrettest.OfToken("a token", token)...)
	}
	if told, _ := secrettest.NewSearcher(secrets...).Find(logs); told != "" {
		return fmt.Errorf("the output tells %s", told)
	}
	return nil
}

// anyToken matches the tokens that the sandbox mints, and any JWT like them.
var anyToken = regexp.MustCompile(`eyJ[\w-]+\.[\w-]+\.[\w-]*`)

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

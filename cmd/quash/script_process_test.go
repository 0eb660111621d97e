package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/quashdev/quash/internal/proctest"
	"github.com/quashdev/quash/internal/secrettest"
)

func start(ts *testscript.TestScript, neg bool, args []string) {
	launch(ts, neg, args)
	p := processOf(ts, args[0])
	addrs, err := p.Addrs()
	ts.Check(err)
	for name, addr := range map[string]string{"GRPC": addrs.GRPC, "HTTP": addrs.HTTP, "ADMIN": addrs.Admin, "SANDBOX": addrs.Sandbox} {
		if addr != "" {
			ts.Setenv(args[0]+"_"+name, addr)
		}
	}
	if slices.Contains(args, "dev") { // the end of the greeting may come after the log
		_, err := p.Await(p.Stdout, regexp.MustCompile(`(?m)^Stop: `))
		ts.Check(err)
	}
	fmt.Fprint(ts.Stdout(), p.Stdout)
	fmt.Fprint(ts.Stderr(), p.Stderr)
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
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Dir = ts.MkAbs(".")
	// The environment of the script does not apply to this process. To set a variable, use
	// launch NAME env QUASH_X=y quash …
	cmd.Env = []string{"PATH=" + ts.Getenv("PATH"), "HOME=" + ts.Getenv("HOME"), gorace}
	if dir := ts.Getenv("GOCOVERDIR"); dir != "" {
		cmd.Env = append(cmd.Env, "GOCOVERDIR="+dir)
	}
	p, err := proctest.Start(cmd) // killed at the end of the script
	ts.Check(err)
	s.processes[name] = p
}

func await(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage: await NAME stdout|stderr REGEXP")
	}
	p := processOf(ts, args[0])
	output := p.Stderr
	if args[1] == "stdout" {
		output = p.Stdout
	}
	_, err := p.Await(output, regexp.MustCompile(`(?m)`+args[2]))
	ts.Check(err)
}

func sendSignal(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: signal NAME SIGNAL")
	}
	sig, ok := map[string]os.Signal{"HUP": syscall.SIGHUP, "INT": os.Interrupt, "TERM": syscall.SIGTERM, "KILL": os.Kill}[args[1]]
	if !ok {
		ts.Fatalf("unknown signal %s", args[1])
	}
	ts.Check(processOf(ts, args[0]).Signal(sig))
}

// ends copies the whole output of the process to the stdout and stderr of the script.
func ends(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: ends NAME CODE|SIGNAL")
	}
	s, p := sceneOf(ts), processOf(ts, args[0])
	ts.Check(p.Wait())
	delete(s.processes, args[0])
	fmt.Fprint(ts.Stdout(), p.Stdout)
	fmt.Fprint(ts.Stderr(), p.Stderr)
	ts.Check(s.verdict(p))
	if got := exitStatus(p.State()); got != args[1] {
		ts.Fatalf("%s ended with %s, want %s", args[0], got, args[1])
	}
}

func processOf(ts *testscript.TestScript, name string) *proctest.Process {
	p := sceneOf(ts).processes[name]
	if p == nil {
		ts.Fatalf("there is no process %s", name)
	}
	return p
}

// verdict returns an error if an ended process had a data race, or wrote any part of a token
// that the script has seen.
func (s *scene) verdict(p *proctest.Process) error {
	logs := p.Stderr.String()
	if strings.Contains(logs, "DATA RACE") {
		return errors.New("a data race")
	}
	if stdout := p.Stdout.String(); !strings.Contains(stdout, "\nStop: ") { // the greeting of dev has tokens to paste
		logs += stdout
	}
	if anyToken.MatchString(logs) {
		return errors.New("the output has a token")
	}
	var secrets []secrettest.Secret
	for _, token := range s.tokens {
		secrets = append(secrets, secrettest.OfToken("a token", token)...)
	}
	if leak, _ := secrettest.NewSearcher(secrets...).Find(logs); leak != "" {
		return fmt.Errorf("the output has %s", leak)
	}
	return nil
}

// anyToken matches the tokens that the sandbox mints, and any JWT like them.
var anyToken = regexp.MustCompile(`eyJ[\w-]+\.[\w-]+\.[\w-]*`)

// exitStatus returns the exit code of an ended process, or the signal that ended it.
func exitStatus(state *os.ProcessState) string {
	status, ok := state.Sys().(syscall.WaitStatus)
	if !ok || !status.Signaled() {
		return strconv.Itoa(state.ExitCode())
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

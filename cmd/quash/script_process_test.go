package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"syscall"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/quashdev/quash/internal/secrettest"
)

func start(ts *testscript.TestScript, neg bool, args []string) {
	launch(ts, neg, args)
	p := processOf(ts, args[0])
	addrs, err := p.awaitServing()
	ts.Check(err)
	for name, addr := range addrs {
		ts.Setenv(args[0]+"_"+name, addr)
	}
	if addr := addrs["GRPC"]; addr != "" {
		ready := awaitGRPC
		if slices.Contains(args, "--tls-cert-file") {
			ready = awaitTLS
		}
		ts.Check(ready(addr))
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
	p := newProcess(argv) // killed at the end of the script
	p.cmd.Dir = ts.MkAbs(".")
	// What the script has changed of its environment does not come here: see
	// launch NAME env QUASH_X=y quash …
	p.cmd.Env = []string{"PATH=" + ts.Getenv("PATH"), "GORACE=" + ts.Getenv("GORACE"), "HOME=" + ts.Getenv("HOME")}
	if dir := ts.Getenv("GOCOVERDIR"); dir != "" {
		p.cmd.Env = append(p.cmd.Env, "GOCOVERDIR="+dir)
	}
	ts.Check(p.start())
	s.processes[name] = p
}

func await(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage: await NAME stdout|stderr REGEXP")
	}
	_, err := processOf(ts, args[0]).await(args[1], regexp.MustCompile(`(?m)`+args[2]))
	ts.Check(err)
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

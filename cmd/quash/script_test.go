package main

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"go.uber.org/goleak"

	"github.com/quashdev/quash/internal/pkitest"
	"github.com/quashdev/quash/internal/proctest"
)

// The scripts in testdata/script run the real command: testscript starts this test binary under
// the name quash. They can use these commands in addition to testscript's own:
//
//	refuses N quash …      exit code 2, N lines on stderr, each one "quash: …", nothing on stdout
//	fails N quash …        like refuses, with exit code 1
//	ends-with N quash …    exit code N, with any output
//	capture VAR FILE RE    sets VAR to the match of RE's group in FILE, stdout or stderr
//	taken VAR              sets VAR to an address on which another listener is bound
//	refusing VAR           sets VAR to an address that refuses connections
//
//	start NAME quash …     starts a server; waits until it serves; sets NAME_GRPC, NAME_HTTP, NAME_ADMIN, NAME_SANDBOX
//	launch NAME quash …    starts it without waiting; to set its environment, use env(1)
//	await NAME stderr RE   waits for complete lines that match
//	signal NAME TERM       sends a signal: HUP, INT, TERM or KILL
//	ends NAME CODE         waits for the end; checks the exit code, or the signal that ended it
//
//	http METHOD URL BODY   makes a call, with -H 'K: V' before; writes status, headers and body to stdout
//	until STATUS URL RE    retries until the answer has the status and matches RE
//	begin NAME http …      makes a call without waiting for the answer
//	answered NAME          waits for the answer, and writes it to stdout; ! requires that there is no answer
//	slow VAR               sets VAR to the URL of an upstream that holds every call
//	reached VAR            waits until a call reaches that upstream
//	release VAR            makes that upstream answer 204, to held and to later calls
//	rpc ADDR JSON          calls Revoke over gRPC; writes the response to stdout, or fails with the error on stderr
//	services ADDR          lists the services over gRPC reflection
//	https VAR URL [NAME]   serves URL over TLS; VAR.pem has its certificate. With NAME it uses the
//	                       current content of NAME.pem and NAME-key.pem for each connection
//
//	certificates CA NAME=FOR,…   creates the authority CA if it does not exist, and issues
//	                       certificates: CA.pem, NAME.pem and NAME-key.pem; FOR is an IP address, a DNS
//	                       name, a URI, expired or early
//
// http, until, rpc and services take TLS options first: --cacert FILE for the trusted CAs,
// --cert FILE for a client certificate that the command certificates wrote, and --tls-max 1.2.
// ! http requires that there is no answer.
//
// A script fails if a server logs a token, a text that identifies a token, or a data race, or
// if it writes a token to stdout, unless it is quash dev.
func TestScripts(t *testing.T) {
	t.Parallel()
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Deadline:            time.Now().Add(20 * patience), // for all scripts, on a busy machine
		Setup:               setScene,
		Condition: func(condition string) (bool, error) {
			if condition == "root" {
				return os.Geteuid() == 0, nil
			}
			return false, fmt.Errorf("unknown condition %q", condition)
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"refuses":   rejects(2),
			"fails":     rejects(1),
			"capture":   capture,
			"ends-with": endsWith,

			"taken":    taken,
			"refusing": refusing,
			"start":    start,
			"launch":   launch,
			"await":    await,
			"signal":   sendSignal,
			"ends":     ends,
			"http":     callHTTP,
			"until":    until,
			"begin":    begin,
			"answered": answered,
			"slow":     slow,
			"reached":  reached,
			"release":  release,
			"rpc":      callRPC,
			"services": services,
			"https":    serveHTTPS,

			"certificates": certificates,
		},
	})
}

func TestMain(m *testing.M) {
	testscript.Main(leakTested{m}, map[string]func(){"quash": main})
}

// leakTested fails a run that leaves goroutines behind. It does not use goleak.VerifyTestMain,
// which exits before testscript removes its copies of the binary.
type leakTested struct{ m *testing.M }

func (l leakTested) Run() int {
	suppressLibraryLogs()
	forgetEnvironment()
	code := l.m.Run()
	if err := goleak.Find(); err != nil && code == 0 {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return code
}

// forgetEnvironment removes settings that would make the started processes fail, or export to a
// real collector.
func forgetEnvironment() {
	for _, variable := range os.Environ() {
		name, _, _ := strings.Cut(variable, "=")
		if strings.HasPrefix(name, "OTEL_") || strings.HasPrefix(name, "QUASH_") {
			_ = os.Unsetenv(name)
		}
	}
}

// patience bounds every wait of a script. Only a test that fails reaches it.
const patience = 30 * time.Second

// scene is the state that the commands of one script share.
type scene struct {
	processes map[string]*proctest.Process
	upstreams map[string]slowUpstream
	calls     map[string]*pendingCall
	cas       map[string]*pkitest.CA
	// tokens are the tokens that the script has captured.
	tokens []string
}

// gorace is an environment variable for processes: a binary that is built with -race sleeps for
// a second before it exits, unless this turns that off.
var gorace = strings.TrimSpace("GORACE=" + os.Getenv("GORACE") + " atexit_sleep_ms=0")

type sceneKey struct{}

func sceneOf(ts *testscript.TestScript) *scene { return ts.Value(sceneKey{}).(*scene) }

func setScene(env *testscript.Env) error {
	s := &scene{
		processes: map[string]*proctest.Process{},
		upstreams: map[string]slowUpstream{},
		calls:     map[string]*pendingCall{},
		cas:       map[string]*pkitest.CA{},
	}
	env.Values[sceneKey{}] = s
	env.Vars = append(env.Vars, gorace)
	env.Defer(func() {
		for name, p := range s.processes {
			p.Kill()
			if err := s.verdict(p); err != nil {
				env.T().Log(fmt.Sprintf("%s: %s\n%s", name, err, p))
				env.T().FailNow()
			}
		}
	})
	return nil
}

// rejects returns a script command that runs a program. The program must exit with code, write
// the given number of lines to stderr, and nothing to stdout.
func rejects(code int) func(*testscript.TestScript, bool, []string) {
	return func(ts *testscript.TestScript, neg bool, args []string) {
		if neg || len(args) < 2 {
			ts.Fatalf("usage: refuses|fails LINES PROGRAM [ARG…]")
		}
		endsWith(ts, false, append([]string{strconv.Itoa(code)}, args[1:]...))
		if ts.ReadFile("stdout") != "" {
			ts.Fatalf("stdout is not empty")
		}
		stderr := ts.ReadFile("stderr")
		if got := len(regexp.MustCompile(`(?m)^quash: .*\n`).FindAllString(stderr, -1)); strconv.Itoa(got) != args[0] || got != strings.Count(stderr, "\n") {
			ts.Fatalf("stderr has %d lines that start with quash:, want %s and no others", got, args[0])
		}
	}
}

func endsWith(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: ends-with CODE PROGRAM [ARG…]")
	}
	got := 0
	if err := ts.Exec(args[1], args[2:]...); err != nil {
		exit, ok := errors.AsType[*exec.ExitError](err)
		if !ok {
			ts.Fatalf("%v", err)
		}
		got = exit.ExitCode()
	}
	if strconv.Itoa(got) != args[0] {
		ts.Fatalf("exit code %d, want %s", got, args[0])
	}
}

func capture(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage: capture VAR FILE REGEXP")
	}
	text := ts.ReadFile(args[1])
	match := regexp.MustCompile(`(?m)` + args[2]).FindStringSubmatch(text)
	if len(match) != 2 {
		ts.Fatalf("no match with one group in %s", args[1])
	}
	ts.Setenv(args[0], match[1])
	s := sceneOf(ts)
	s.tokens = append(s.tokens, anyToken.FindAllString(text, -1)...)
}

func taken(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: taken VAR")
	}
	l := occupy(ts)
	ts.Setenv(args[0], l.Addr().String())
}

// refusing sets an address that refuses connections until the script ends: the local end of a
// connection, which has no listener, and which no other process can get.
func refusing(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: refusing VAR")
	}
	conn, err := net.Dial("tcp", occupy(ts).Addr().String())
	ts.Check(err)
	ts.Defer(func() { _ = conn.Close() })
	ts.Setenv(args[0], conn.LocalAddr().String())
}

// occupy listens on a free port of loopback until the script ends.
func occupy(ts *testscript.TestScript) net.Listener {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	ts.Check(err)
	ts.Defer(func() { _ = l.Close() })
	return l
}

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

// The scripts in testdata/script run the real command: testscript starts this
// test binary under the name quash. These commands exist in addition to
// testscript's own:
//
//	refuses N quash …      exit code 2, N lines on stderr, each one "quash: …", nothing on stdout
//	fails N quash …        the same with exit code 1
//	ends-with N quash …    exit code N, whatever is written
//	capture VAR FILE RE    sets VAR to what the group of RE matches in FILE, stdout or stderr
//	taken VAR              sets VAR to an address that something else listens on
//	refusing VAR           sets VAR to an address that refuses connections
//
//	start NAME quash …     starts a server; waits until it serves; sets NAME_GRPC, NAME_HTTP, NAME_ADMIN, NAME_SANDBOX
//	launch NAME quash …    starts it without waiting; no variable that the script sets gets there but through env(1)
//	await NAME stderr RE   waits for complete lines that match
//	signal NAME TERM       sends a signal: INT, TERM or KILL
//	ends NAME CODE         waits for the end; checks the exit code, or the signal that ended it
//
//	http METHOD URL BODY   makes a call, with -H 'K: V' before; writes status, headers and body to stdout
//	until STATUS URL RE    asks until the answer has the status, and RE matches it
//	begin NAME http …      makes a call without waiting for the answer
//	answered NAME          waits for it, and writes it to stdout; with ! requires that there is none
//	slow VAR               sets VAR to the URL of an upstream that holds every call
//	reached VAR            waits for a call there
//	release VAR            lets that upstream answer 204, now and from now on
//	rpc ADDR JSON          calls Revoke over gRPC; writes the response to stdout, or fails with the error on stderr
//	services ADDR          lists the services over gRPC reflection
//	https VAR URL [NAME]   serves URL over TLS, with a certificate in the file VAR.pem, or with what is in
//	                       NAME.pem and NAME-key.pem when a client connects
//
//	certificates CA NAME=FOR,…   makes the authority CA if there is none, and certificates of it: CA.pem,
//	                       NAME.pem and NAME-key.pem; FOR is an IP address, a DNS name, a URI, or expired
//
// http, until, rpc and services take TLS options first: --cacert FILE, which says whom
// to trust, --cert FILE, which has a certificate as certificates writes it, and
// --tls-max 1.2. With ! http requires that there is no answer.
//
// A server that logs a token, anything that identifies one, or a data race, fails
// its script; so does one that writes a token to stdout, unless it is quash dev.
func TestScripts(t *testing.T) {
	t.Parallel()
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Deadline:            time.Now().Add(20 * patience), // for all of them, on a busy machine
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

// leakTested fails a run that leaves goroutines behind. goleak.VerifyTestMain
// would exit before testscript removes its copies of the binary.
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

// forgetEnvironment keeps settings out of the processes that the tests start, which could
// make them fail, or export to a real collector.
func forgetEnvironment() {
	for _, variable := range os.Environ() {
		name, _, _ := strings.Cut(variable, "=")
		if strings.HasPrefix(name, "OTEL_") || strings.HasPrefix(name, "QUASH_") {
			_ = os.Unsetenv(name)
		}
	}
}

// patience bounds every single wait of a script. Only a test that fails uses it up.
const patience = 30 * time.Second

// scene is what the commands of one script share.
type scene struct {
	processes map[string]*proctest.Process
	upstreams map[string]slowUpstream
	calls     map[string]*pendingCall
	cas       map[string]*pkitest.CA
	// tokens are those that the script has seen.
	tokens []string
}

// gorace is a variable for processes: by default one that is built with -race sleeps for a
// second before it exits.
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

// rejects returns a command that runs another one and requires it to exit with
// code, having said why in so many lines and done nothing.
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

// refusing finds an address that refuses connections and stays so: the near end of
// a connection, which is neither listened on nor given to any other process.
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

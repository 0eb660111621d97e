package e2e

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime/debug"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/quashdev/quash/internal/proctest"
	"github.com/quashdev/quash/sandbox"
)

// patience is the maximum of every wait. Only failing tests wait that long.
const patience = time.Minute

// program is the path of the quash binary under test.
var program string

func TestMain(m *testing.M) { os.Exit(buildAndRun(m)) }

func buildAndRun(m *testing.M) int {
	dir, err := os.MkdirTemp("", "quash-e2e-")
	if err == nil {
		defer os.RemoveAll(dir)
		var flags []string
		if raceDetector() {
			flags = append(flags, "-race")
		}
		program, err = proctest.Build(context.Background(), dir, flags...)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	code := m.Run()
	if err := goleak.Find(); err != nil && code == 0 {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return code
}

// raceDetector reports whether the tests are built with -race. The program is then built with
// -race too.
func raceDetector() bool {
	build, ok := debug.ReadBuildInfo()
	return ok && slices.Contains(build.Settings, debug.BuildSetting{Key: "-race", Value: "true"})
}

// transports are the three ways to call Revoke.
const (
	overGRPC   = "gRPC"
	overNative = "native"
	overDropIn = "drop-in"
)

var transports = []string{overGRPC, overNative, overDropIn}

const (
	rpcPath    = "/quash.v1.TokenService/Revoke"
	nativePath = "/v1/tokens:revoke"
	dropInPath = "/token/revoke"
)

// pathOf is the HTTP path of Revoke, by transport.
var pathOf = map[string]string{overGRPC: rpcPath, overNative: nativePath, overDropIn: dropInPath}

// anyPort makes a server listen on free loopback ports.
var anyPort = []string{"--grpc-addr", "127.0.0.1:0", "--http-addr", "127.0.0.1:0", "--admin-addr", "127.0.0.1:0"}

// instance is a quash process that runs until the test ends.
type instance struct {
	*proctest.Process
	proctest.Addrs

	dir string      // its working and home directory
	tls *tls.Config // of its clients; nil for plaintext
}

// serve runs quash serve in front of an upstream. The test fails if its log contains a token.
func serve(t *testing.T, upstreamURL string, flags ...string) *instance {
	t.Helper()
	return start(t, nil, slices.Concat([]string{"serve", "--upstream-url", upstreamURL}, anyPort, flags)...)
}

// dev runs quash dev with additional environment variables.
func dev(t *testing.T, environment []string, flags ...string) *instance {
	t.Helper()
	return start(t, environment, slices.Concat([]string{"dev", "--sandbox-addr", "127.0.0.1:0"}, anyPort, flags)...)
}

func start(t *testing.T, environment []string, args ...string) *instance {
	t.Helper()
	q := launch(t, environment, args...)
	var err error
	if q.Addrs, err = q.Process.Addrs(); err != nil {
		t.Fatal(err)
	}
	return q
}

// launch starts a process without waiting until it serves.
func launch(t *testing.T, environment []string, args ...string) *instance {
	t.Helper()
	q := &instance{dir: t.TempDir()}
	cmd := exec.Command(program, args...)
	cmd.Dir = q.dir
	cmd.Env = slices.Concat([]string{"GORACE=atexit_sleep_ms=0", "TMPDIR=" + q.dir, "HOME=" + q.dir}, imageEnvironment(t), environment)
	var err error
	if q.Process, err = proctest.Start(cmd); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		q.Kill()
		checkLog(t, q.Process)
	})
	return q
}

// imageEnvironment returns the environment variables that the container image sets.
func imageEnvironment(t *testing.T) (environment []string) {
	t.Helper()
	dockerfile, err := os.ReadFile("../../Dockerfile")
	if err != nil {
		t.Fatal(err)
	}
	for _, env := range regexp.MustCompile(`(?m)^ENV (\S+=\S+)$`).FindAllStringSubmatch(string(dockerfile), -1) {
		environment = append(environment, env[1])
	}
	return environment
}

// anyToken matches any JWT.
var anyToken = regexp.MustCompile(`eyJ[\w-]+\.[\w-]+\.[\w-]*`)

// checkLog fails if the log contains a data race or a token.
func checkLog(t *testing.T, p *proctest.Process) {
	t.Helper()
	log := p.Stderr.String()
	if strings.Contains(log, "DATA RACE") || anyToken.MatchString(log) {
		t.Errorf("a data race or a token in the log:\n%s", log)
	}
}

// stop shuts an instance down gracefully.
func (q *instance) stop(t *testing.T) {
	t.Helper()
	if err := q.Stop(); err != nil {
		t.Error(err)
	}
}

// awaitLog waits until complete lines of the log match.
func (q *instance) awaitLog(t *testing.T, pattern string) {
	t.Helper()
	if _, err := q.Await(q.Stderr, regexp.MustCompile(pattern)); err != nil {
		t.Fatal(err)
	}
}

// url is the base URL of REST.
func (q *instance) url() string {
	if q.tls != nil {
		return "https://" + q.HTTP
	}
	return "http://" + q.HTTP
}

// client returns an HTTP client for REST. Over TLS it uses HTTP/2.
func (q *instance) client() *http.Client {
	return &http.Client{Transport: &http.Transport{TLSClientConfig: q.tls.Clone(), ForceAttemptHTTP2: true, MaxIdleConnsPerHost: 100}}
}

// dial returns a connection for gRPC.
func (q *instance) dial(t *testing.T) *grpc.ClientConn {
	t.Helper()
	creds := insecure.NewCredentials()
	if q.tls != nil {
		creds = credentials.NewTLS(q.tls)
	}
	conn, err := grpc.NewClient(q.GRPC, grpc.WithTransportCredentials(creds))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// send makes an HTTP request with a JSON body, and returns the answer and its body. header
// contains pairs of a name and a value.
func send(t *testing.T, method, url, body string, header ...string) (resp *http.Response, text string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Close = true
	req.Header.Set("Content-Type", "application/json")
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err = http.DefaultTransport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp, string(answer)
}

// control calls a control endpoint of quash dev's sandbox.
func (q *instance) control(t *testing.T, method, path, body string) string {
	t.Helper()
	resp, text := send(t, method, q.Sandbox+"/_sandbox/"+path, body)
	if resp.StatusCode/100 != 2 {
		t.Fatalf("%s %s: %s: %s", method, path, resp.Status, text)
	}
	return text
}

// mint returns a token that can be revoked.
func (q *instance) mint(t *testing.T) string {
	t.Helper()
	return strings.TrimSpace(q.control(t, http.MethodPost, "tokens", ""))
}

// revokedIn reports whether a token is revoked in all regions, and in any.
func revokedIn(t *testing.T, slashid *sandbox.Server, token string) (everywhere, anywhere bool) {
	t.Helper()
	regions, err := slashid.Revoked(token)
	if err != nil {
		t.Error(err)
	}
	everywhere = true
	for _, applied := range regions {
		everywhere = everywhere && applied
		anywhere = anywhere || applied
	}
	return everywhere, anywhere
}

// write writes a file and returns its path.
func write(t *testing.T, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// closed reports whether a channel is closed.
func closed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// eventually waits until a condition holds.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	ticker := time.NewTicker(2 * time.Millisecond)
	defer ticker.Stop()
	for begun := time.Now(); !holds(); <-ticker.C {
		if time.Since(begun) > patience {
			t.Fatalf("after %s: still waiting: %s", patience, what)
		}
	}
}

package e2e

import (
	"compress/gzip"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/google/uuid"

	"github.com/quashdev/quash/internal/proctest"
	"github.com/quashdev/quash/internal/secrettest"
)

// secrets are values that must not appear anywhere. They are new in each run.
type secrets struct {
	token         string // a JWT, except for its signature
	apiKey        string // quash's own
	callerKey     string
	authorization string
}

func newSecrets() secrets {
	encode := base64.RawURLEncoding.EncodeToString
	signature := make([]byte, 64)
	_, _ = rand.Read(signature) // never fails
	return secrets{
		token: encode([]byte(`{"kid":"`+rand.Text()+`","alg":"ES256"}`)) + "." +
			encode([]byte(`{"jti":"`+uuid.NewString()+`","sub":"`+uuid.NewString()+`","org":"`+rand.Text()+`"}`)) + "." +
			encode(signature),
		apiKey:        rand.Text() + `"\<&>'%+/=` + rand.Text(), // every kind of quoting changes it
		callerKey:     rand.Text() + rand.Text(),
		authorization: "Bearer " + rand.Text() + "." + rand.Text(),
	}
}

// fill replaces the placeholders, such as {token}.
func (s secrets) fill(text string) string {
	return strings.NewReplacer(
		"{token}", s.token, "{signature}", s.token[strings.LastIndex(s.token, ".")+1:],
		"{key}", s.apiKey, "{caller key}", s.callerKey, "{authorization}", s.authorization,
	).Replace(text)
}

// scan searches everything that can be read of quash for the secrets.
type scan struct {
	secrets

	fail     func(format string, args ...any)
	searcher *secrettest.Searcher

	mu      *sync.Mutex
	reached map[string]bool // by outcome or reason, and transport
}

func newScan(fail func(format string, args ...any)) *scan {
	s := newSecrets()
	return &scan{
		secrets: s, fail: fail, mu: new(sync.Mutex), reached: map[string]bool{},
		searcher: secrettest.NewSearcher(append(secrettest.OfToken("the token", s.token),
			secrettest.Secret{Name: "quash's API key", Text: s.apiKey},
			secrettest.Secret{Name: "the caller's API key", Text: s.callerKey},
			secrettest.Secret{Name: "the caller's authorization", Text: s.authorization},
		)...),
	}
}

// look fails if a text contains a secret, a part of one, or any JWT.
func (s *scan) look(where, text string) {
	if what, at := s.searcher.Find(text); what != "" {
		s.fail("%s: %s: %q", where, what, text[max(0, at-80):min(len(text), at+100)])
	} else if jwt := anyToken.FindString(text); jwt != "" {
		s.fail("%s: some JWT: %s", where, jwt)
	}
}

var href = regexp.MustCompile(`href=["']([^"']+)["']`)

// crawl searches every page that an admin listener links to, and returns their number.
func (s *scan) crawl(t *testing.T, name, addr string) int {
	t.Helper()
	seen := map[string]bool{}
	for queue := []*url.URL{{Scheme: "http", Host: addr, Path: "/"}}; len(queue) > 0; queue = queue[1:] {
		page := queue[0]
		if page.Host != addr || seen[page.String()] {
			continue
		}
		seen[page.String()] = true
		resp, text := send(t, http.MethodGet, page.String(), "")
		where := name + page.RequestURI()
		s.look(where, fmt.Sprint(resp.Header, text))
		if unpacked, err := gzip.NewReader(strings.NewReader(text)); err == nil {
			profile, err := io.ReadAll(unpacked)
			if err != nil {
				t.Error(err)
			}
			s.look(where+", decompressed", string(profile))
		}
		for _, match := range href.FindAllStringSubmatch(text, -1) {
			link, err := page.Parse(match[1])
			if err != nil {
				continue
			}
			queries := []string{link.RawQuery}
			if base := filepath.Base(link.Path); base == "profile" || base == "trace" {
				queries = []string{"seconds=1"}
			} else if link.Query().Has("debug") { // a profile: all its formats
				queries = []string{"debug=0", "debug=1", "debug=2"}
			}
			for _, query := range queries {
				format := *link
				format.RawQuery = query
				queue = append(queue, &format)
			}
		}
	}
	return len(seen)
}

// lookAtProcess searches what /proc shows of a running process.
func (s *scan) lookAtProcess(t *testing.T, name string, pid int) {
	t.Helper()
	proc := fmt.Sprintf("/proc/%d/", pid)
	if _, err := os.Stat(proc); err != nil {
		return // not Linux
	}
	for _, file := range []string{"cmdline", "environ", "comm"} {
		text, err := os.ReadFile(proc + file)
		if err != nil {
			t.Error(err)
		}
		s.look(name+" "+file, string(text))
	}
	descriptors, err := os.ReadDir(proc + "fd")
	if err != nil {
		t.Error(err)
	}
	for _, descriptor := range descriptors {
		if target, err := os.Readlink(proc + "fd/" + descriptor.Name()); err == nil { // an error means that it is closed
			s.look(name+", open files", target)
		}
	}
}

// lookAtFiles searches the names and contents of all files in a directory tree.
func (s *scan) lookAtFiles(t *testing.T, name, dir string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		s.look(name+", names of files", path)
		if err != nil || !entry.Type().IsRegular() {
			return err
		}
		text, err := os.ReadFile(path)
		s.look(path, string(text))
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

// lookAtRemains searches the output and the files of a process that has exited.
func (s *scan) lookAtRemains(t *testing.T, name string, q *instance) {
	t.Helper()
	s.look(name+", stdout", q.Stdout.String())
	s.look(name+", stderr", q.Stderr.String())
	s.lookAtFiles(t, name, q.dir)
}

// reach records that a transport gave an answer: an outcome, or a reason and a state.
func (s *scan) reach(transport, answer string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	reason, _, _ := strings.Cut(answer, " ")
	s.reached[reason+" over "+transport] = true
}

// The scan finds leaks that are planted in each type of place. Package secrettest tests that it
// finds each encoding.
func TestLeakScanFindsPlantedLeaks(t *testing.T) {
	t.Parallel()
	var found int
	s := newScan(func(string, ...any) { found++ })
	text := func(text string) func() { return func() { s.look("", text) } }
	folder := func(name, content string) func() {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return func() { s.lookAtFiles(t, "", dir) }
	}
	process := func(variable, argument string) func() {
		return func() {
			cmd := exec.Command("sh", "-c", "echo running; read _", "sh", argument)
			cmd.Env = []string{variable}
			stdin, err := cmd.StdinPipe()
			if err != nil {
				t.Fatal(err)
			}
			p, err := proctest.Start(cmd)
			if err != nil {
				t.Fatal(err)
			}
			defer p.Kill()
			defer stdin.Close()
			if _, err := p.Await(p.Stdout, regexp.MustCompile("running")); err != nil {
				t.Error(err)
			}
			s.lookAtProcess(t, "sh", p.PID())
		}
	}
	admin := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/" {
			_, _ = io.WriteString(w, `<a href="/heap">`)
			return
		}
		zip := gzip.NewWriter(w)
		_, _ = io.WriteString(zip, s.callerKey)
		_ = zip.Close()
	}))
	t.Cleanup(admin.Close)
	digest := sha256.Sum256([]byte(s.token))
	for name, look := range map[string]func(){
		"a log line":           text(`{"level":"INFO","msg":"no way to revoke ` + s.token + `"}`),
		"a part":               text("token=" + s.token[100:120]),
		"a key, quoted":        text(fmt.Sprintf("%q", s.apiKey)),
		"a panic's bytes":      text(fmt.Sprintf("panic: %v", []byte(s.token))),
		"a digest":             text(fmt.Sprintf("sha256:%x", digest[:6])),
		"another JWT":          text("eyJhbGciOiJub25lIn0.eyJqdGkiOiJhYmMtMTIzIn0.c2ln"),
		"a file's name":        folder(s.callerKey, ""),
		"a file":               folder("log", s.callerKey),
		"a compressed profile": func() { s.crawl(t, "", strings.TrimPrefix(admin.URL, "http://")) },
		"a process's variable": process("TOKEN="+s.token, ""),
		"a process's argument": process("A=", s.token),
	} {
		found = 0
		if look(); found == 0 {
			t.Errorf("%s: not found", name)
		}
	}
	found = 0
	text(`{"time":"2026-01-02T03:04:05Z","level":"INFO","msg":"serving","grpc":"127.0.0.1:9090","id":"e52d3ad6-4c5e-4c0a-9f2a-0123456789ab"}`)()
	if found > 0 {
		t.Error("a secret was found in a text without one")
	}
}

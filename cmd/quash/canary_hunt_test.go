package main

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/quashdev/quash/internal/secrettest"
	"github.com/quashdev/quash/service"
)

// canary is what must not turn up anywhere. It is another one in each run.
type canary struct {
	token         string // a JWT, but for its signature
	apiKey        string // quash's own
	callerKey     string // a caller's
	authorization string // a caller's
}

func newCanary() canary {
	encode := base64.RawURLEncoding.EncodeToString
	signature := make([]byte, 64)
	_, _ = rand.Read(signature) // never fails
	return canary{
		token: encode([]byte(`{"kid":"`+rand.Text()+`","alg":"ES256"}`)) + "." +
			encode([]byte(`{"jti":"`+uuid.NewString()+`","sub":"`+uuid.NewString()+`","org":"`+rand.Text()+`"}`)) + "." +
			encode(signature),
		apiKey:        rand.Text() + `"\<&>'%+/=` + rand.Text(),
		callerKey:     rand.Text() + rand.Text(),
		authorization: "Bearer " + rand.Text() + "." + rand.Text(),
	}
}

// secrets are all that must not be told of it.
func (c canary) secrets() []secrettest.Secret {
	return append(secrettest.OfToken("the token", c.token),
		secrettest.Secret{Name: "quash's API key", Text: c.apiKey},
		secrettest.Secret{Name: "the caller's API key", Text: c.callerKey},
		secrettest.Secret{Name: "the caller's authorization", Text: c.authorization},
	)
}

// fill puts the canary in place of {token} and its like.
func (c canary) fill(text string) string {
	parts := strings.Split(c.token, ".")
	return strings.NewReplacer(
		"{token}", c.token, "{claims}", parts[1], "{signature}", parts[2],
		"{key}", c.apiKey, "{caller key}", c.callerKey, "{authorization}", c.authorization,
	).Replace(text)
}

// hunt looks for the canary in all that can be read of quash.
type hunt struct {
	canary
	*ledger

	t         *testing.T
	searchers []*secrettest.Searcher
}

// ledger is the account that a test keeps of its hunts.
type ledger struct {
	mu      sync.Mutex
	places  map[string]int // that were searched, by kind
	size    int
	found   int
	reached map[string]map[string]bool // rows of the outcome table, by door
	calls   int
}

func newHunt(t *testing.T) *hunt {
	c := newCanary()
	return &hunt{
		canary: c, t: t, searchers: []*secrettest.Searcher{secrettest.NewSearcher(c.secrets()...)},
		ledger: &ledger{places: map[string]int{"files": 0}, reached: map[string]map[string]bool{}},
	}
}

// alsoFor is the hunt for real tokens too.
func (h *hunt) alsoFor(tokens ...string) *hunt {
	var secrets []secrettest.Secret
	for _, token := range tokens {
		secrets = append(secrets, secrettest.OfToken("a minted token", token)...)
	}
	more := *h
	more.searchers = append(slices.Clip(h.searchers), secrettest.NewSearcher(secrets...))
	return &more
}

// find says what a text tells of what is hunted for, and where in it; "" when that
// is nothing.
func (h *hunt) find(text string) (what string, at int) {
	for _, searcher := range h.searchers {
		if what, at = searcher.Find(text); what != "" {
			return what, at
		}
	}
	if jwt := anyToken.FindStringIndex(text); jwt != nil {
		return "some JWT", jwt[0]
	}
	return "", 0
}

// maxFound is after how many finds the rest is not told: one leak can be in
// thousands of lines.
const maxFound = 20

// look searches a text; where names it, and kind is what it is counted as.
func (h *hunt) look(kind, where, text string) {
	what, at := h.find(text)
	h.mu.Lock()
	defer h.mu.Unlock()
	h.places[kind]++
	h.size += len(text)
	if what == "" {
		return
	}
	if h.found++; h.found <= maxFound {
		h.t.Errorf("%s of %s: there is %s: %q", kind, where, what, text[max(0, at-80):min(len(text), at+100)])
	}
}

// count makes up for places that were searched as one.
func (h *hunt) count(kind string, more int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.places[kind] += more
}

// next numbers calls.
func (h *hunt) next() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.calls++
	return h.calls
}

func (h *hunt) lookAtHeader(where string, header http.Header) {
	for name, values := range header {
		for _, value := range values {
			h.look("headers and trailers", where, name+": "+value)
		}
	}
}

// lookAtResponse reads an answer whole, and returns its body.
func (h *hunt) lookAtResponse(where string, resp *http.Response) (body []byte, err error) {
	defer resp.Body.Close()
	body, err = io.ReadAll(resp.Body)
	h.look("status lines", where, resp.Proto+" "+resp.Status)
	h.lookAtHeader(where, resp.Header)
	h.lookAtHeader(where, resp.Trailer)
	h.look("bodies", where, string(body))
	return body, err
}

// crawl looks at every page that an admin listener leads to.
func (h *hunt) crawl(ctx context.Context, name, addr string) error {
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	home := &url.URL{Scheme: "http", Host: addr, Path: "/"}
	seen := map[string]bool{home.String(): true}
	for queue := []*url.URL{home}; len(queue) > 0; queue = queue[1:] {
		page := queue[0]
		body, err := h.visit(ctx, client, name, page)
		if err != nil {
			return err
		}
		for _, next := range linksOf(page, body) {
			if next.Host == home.Host && !seen[next.String()] {
				seen[next.String()] = true
				queue = append(queue, next)
			}
		}
	}
	if len(seen) < 20 {
		return fmt.Errorf("%s has but %d admin pages: %q", name, len(seen), slices.Sorted(maps.Keys(seen)))
	}
	return nil
}

func (h *hunt) visit(ctx context.Context, client *http.Client, name string, page *url.URL) (body string, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, page.String(), http.NoBody)
	if err != nil {
		return "", err
	}
	resp, err := client.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		return "", err
	}
	where := name + page.RequestURI()
	h.lookAtHeader(where, resp.Header)
	h.look("admin pages", where, string(data))
	if unpacked, err := gzip.NewReader(bytes.NewReader(data)); err == nil {
		if data, err = io.ReadAll(unpacked); err != nil {
			return "", err
		}
		h.look("admin pages, decompressed", where, string(data))
	}
	return string(data), nil
}

var href = regexp.MustCompile(`href=["']([^"']+)["']`)

// linksOf returns what a page leads to, profiles in each of their formats, and
// those that take time in a short one.
func linksOf(page *url.URL, body string) []*url.URL {
	var links []*url.URL
	for _, match := range href.FindAllStringSubmatch(body, -1) {
		link, err := page.Parse(match[1])
		if err != nil {
			continue
		}
		if base := link.Path[strings.LastIndexByte(link.Path, '/')+1:]; base == "profile" || base == "trace" {
			link.RawQuery = "seconds=1"
		}
		links = append(links, link)
		if link.Query().Has("debug") {
			for _, format := range []string{"debug=0", "debug=2"} {
				other := *link
				other.RawQuery = format
				links = append(links, &other)
			}
		}
	}
	return links
}

// child is a process of quash's, and the directories that it may write to.
type child struct {
	*process

	name string
	dir  string
}

// launch starts quash, or another command of this binary's, with all that makes Go
// and grpc-go talkative.
func (h *hunt) launch(t *testing.T, name string, env []string, argv ...string) *child {
	c := &child{process: newProcess(argv), name: name, dir: t.TempDir()}
	for _, dir := range []string{"work", "tmp", "home"} {
		if err := os.Mkdir(filepath.Join(c.dir, dir), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	c.cmd.Dir = filepath.Join(c.dir, "work")
	c.cmd.Env = append([]string{
		"PATH=" + os.Getenv("PATH"),
		"GORACE=" + strings.TrimSpace(os.Getenv("GORACE")+" atexit_sleep_ms=0"),
		"GOCOVERDIR=" + t.TempDir(),
		"TMPDIR=" + filepath.Join(c.dir, "tmp"),
		"HOME=" + filepath.Join(c.dir, "home"),
		"GODEBUG=http2debug=2,tracebacklabels=1",
		"GOTRACEBACK=all",
		"GRPC_GO_LOG_SEVERITY_LEVEL=info",
		"GRPC_GO_LOG_VERBOSITY_LEVEL=99",
		"GRPC_GO_SERVER_GOROUTINE_LABELS=all",
	}, env...)
	if err := c.start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.kill)
	return c
}

// lookAtProcess searches what the kernel shows of a process that runs.
func (h *hunt) lookAtProcess(c *child) error {
	proc := fmt.Sprintf("/proc/%d/", c.cmd.Process.Pid)
	if _, err := os.Stat(proc); err != nil {
		return nil //nolint:nilerr // there is none but on Linux
	}
	for file, kind := range map[string]string{"cmdline": "process arguments", "environ": "environment variables", "comm": "process names"} {
		text, err := os.ReadFile(proc + file)
		if err != nil {
			return err
		}
		for one := range strings.SplitSeq(strings.TrimSuffix(string(text), "\x00"), "\x00") {
			h.look(kind, c.name, one)
		}
	}
	descriptors, err := os.ReadDir(proc + "fd")
	if err != nil {
		return err
	}
	for _, descriptor := range descriptors {
		if target, err := os.Readlink(proc + "fd/" + descriptor.Name()); err == nil { // else it is closed by now
			h.look("open files", c.name, target)
		}
	}
	return nil
}

// lookAtFiles searches what a process has left behind.
func (h *hunt) lookAtFiles(c *child) error {
	return filepath.WalkDir(c.dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, err := filepath.Rel(c.dir, path)
		if err != nil {
			return err
		}
		h.look("names of files", c.name, name)
		if !entry.Type().IsRegular() {
			return nil
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		h.look("files", c.name+" "+name, string(text))
		return nil
	})
}

// finish searches all that an ended process has written. What is in forgive is
// there on purpose.
func (h *hunt) finish(c *child, forgive *regexp.Regexp) error {
	for stream, output := range map[string]*output{"stdout": c.stdout, "stderr": c.stderr} {
		text := output.String()
		if forgive != nil && stream == "stdout" {
			text = forgive.ReplaceAllString(text, "")
		}
		if strings.Contains(text, "DATA RACE") {
			return fmt.Errorf("%s: a data race\n%s", c.name, text)
		}
		h.look("lines of "+stream, c.name, text)
		h.count("lines of "+stream, strings.Count(text, "\n")-1)
	}
	return h.lookAtFiles(c)
}

// end has a server shut down, and searches it.
func (h *hunt) end(t *testing.T, c *child, forgive *regexp.Regexp) {
	if err := h.lookAtProcess(c); err != nil {
		t.Error(err)
	}
	if err := c.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Error(err)
	}
	h.ended(t, c, "0", forgive)
}

// ended waits for the end of a process, and searches it.
func (h *hunt) ended(t *testing.T, c *child, fate string, forgive *regexp.Regexp) {
	select {
	case <-c.ended:
	case <-time.After(patience):
		t.Fatalf("%s does not end\n%s", c.name, c)
	}
	if got := c.fate(); got != fate {
		t.Errorf("%s ended with %s, want %s\n%s", c.name, got, fate, c)
	}
	if err := h.finish(c, forgive); err != nil {
		t.Error(err)
	}
}

// rowNames are the rows of the outcome table, as callers can tell them apart.
func rowNames() []string {
	var names []string
	for _, doc := range service.OutcomeDocs() {
		name := doc.Outcome
		if doc.Error != nil {
			name = fmt.Sprintf("%s %s %s", doc.Error.Code(), doc.Error.Reason(), doc.Error.State())
		}
		names = append(names, name)
	}
	return names
}

// reach notes that a door gave the answer of a row.
func (h *hunt) reach(door, row string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.reached[row] == nil {
		h.reached[row] = map[string]bool{}
	}
	h.reached[row][door] = true
}

// report requires that all rows were reached at all doors, but for those that
// cannot be, and says how much was searched.
func (h *hunt) report() {
	n := 0
	rows := rowNames()
	for _, row := range rows {
		for _, door := range doors {
			// Only gRPC has deadlines.
			possible := door == doorGRPC || row != "DeadlineExceeded DEADLINE_TOO_SHORT NOT_APPLIED"
			if got := h.reached[row][door]; got != possible {
				h.t.Errorf("%s at %s: reached: %t, want %t", row, door, got, possible)
			} else if got {
				n++
			}
		}
		delete(h.reached, row)
	}
	for row := range h.reached {
		h.t.Errorf("there is no row %q", row)
	}
	h.t.Logf("%d of the %d rows at %d doors were reached: %d answers in all that the table knows", len(rows), len(rows), len(doors), n)
	total := 0
	for _, kind := range slices.Sorted(maps.Keys(h.places)) {
		h.t.Logf("%7d %s", h.places[kind], kind)
		total += h.places[kind]
	}
	h.t.Logf("%7d places in all, %.1f MB", total, float64(h.size)/1e6)
}

package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

var screenshots = flag.String("screenshots", "", "a `folder` to put pictures of what the browser shows")

// browsers are the names of Chromium, and of what is built of it.
var browsers = []string{"chromium", "chromium-browser", "google-chrome", "google-chrome-stable"}

// browserPatience is for a machine that has other things to do: a browser is many
// processes.
const browserPatience = 2 * time.Minute

// tab is a page in a browser of its own, and what it has done.
type tab struct {
	ctx context.Context //nolint:containedctx // it is how chromedp names a tab

	mu sync.Mutex
	// asked are the URLs of its requests.
	asked []string
	// complaints are errors of scripts.
	complaints []string
}

// openTab starts a browser, or skips the test where there is none.
func openTab(t *testing.T) *tab {
	t.Helper()
	program := ""
	for _, name := range browsers {
		if found, err := exec.LookPath(name); err == nil {
			program = found
			break
		}
	}
	if program == "" {
		t.Skipf("needs a browser: none of %s is installed", strings.Join(browsers, ", "))
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(program),
		chromedp.UserDataDir(t.TempDir()),
		chromedp.WSURLReadTimeout(browserPatience),
		chromedp.WindowSize(1280, 1000),
	)
	if os.Getuid() == 0 {
		options = append(options, chromedp.NoSandbox)
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), browserPatience)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewExecAllocator(ctx, options...)
	t.Cleanup(cancel)
	quiet := log.New(io.Discard, "", 0).Printf // it does not know the newest events
	ctx, cancel = chromedp.NewContext(ctx, chromedp.WithErrorf(quiet), chromedp.WithLogf(quiet))
	t.Cleanup(cancel)
	p := &tab{ctx: ctx}
	p.do(t)                                        // which starts the browser
	t.Cleanup(func() { _ = chromedp.Cancel(ctx) }) // it waits for the browser to end
	err := chromedp.Listen(ctx, func(event any) {
		p.mu.Lock()
		defer p.mu.Unlock()
		switch event := event.(type) {
		case *network.EventRequestWillBeSent:
			p.asked = append(p.asked, event.Request.URL)
		case *runtime.EventExceptionThrown:
			p.complaints = append(p.complaints, event.ExceptionDetails.Text)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := chromedp.Call(ctx, network.Enable, network.EnableParams{}); err != nil {
		t.Fatal(err)
	}
	return p
}

func (p *tab) do(t *testing.T, steps ...chromedp.Action[chromedp.Void]) {
	t.Helper()
	if err := chromedp.Do(p.ctx, steps...); err != nil {
		t.Fatal(err)
	}
}

// evaluate runs a script in the page, and waits for what it promises.
func evaluate[T any](t *testing.T, p *tab, script string) T {
	t.Helper()
	value, err := chromedp.Run(p.ctx, chromedp.Evaluate[T](script, chromedp.EvalAwaitPromise))
	if err != nil {
		t.Fatal(err)
	}
	return value
}

// await waits until the text of an element matches, and returns it.
func (p *tab) await(t *testing.T, selector, pattern string) string {
	t.Helper()
	text := evaluate[string](t, p, fmt.Sprintf(`new Promise((resolve) => {
		const look = () => {
			const text = document.querySelector(%q)?.innerText ?? "";
			if (new RegExp(%q).test(text)) resolve(text);
			return text;
		};
		setTimeout(() => resolve("!" + look()), %d);
		new MutationObserver(look).observe(document, { subtree: true, childList: true, characterData: true });
		look();
	})`, selector, pattern, patience.Milliseconds()))
	if strings.HasPrefix(text, "!") {
		t.Fatalf("%s: %q, want %q", selector, text[1:], pattern)
	}
	return text
}

// requests are the URLs that the page has asked for.
func (p *tab) requests() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]string(nil), p.asked...)
}

func (p *tab) errors() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]string(nil), p.complaints...)
}

// picture saves what the page shows, where somebody wants to see it.
func (p *tab) picture(t *testing.T, name string) {
	t.Helper()
	if *screenshots == "" {
		return
	}
	png, err := chromedp.Run(p.ctx, chromedp.FullScreenshot(100))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(*screenshots, name), png, 0o600); err != nil {
		t.Fatal(err)
	}
}

// devQuash is a quash dev of its own process.
type devQuash struct {
	*process

	url, sandbox string
}

func startDev(t *testing.T, flags ...string) *devQuash {
	t.Helper()
	d := &devQuash{process: newProcess(append([]string{
		"quash", "dev", "--grpc-addr", "127.0.0.1:0", "--http-addr", "127.0.0.1:0", "--admin-addr", "127.0.0.1:0", "--sandbox-addr", "127.0.0.1:0",
	}, flags...))}
	d.cmd.Env = []string{"GORACE=" + gorace, "GOCOVERDIR=" + os.Getenv("GOCOVERDIR")}
	if err := d.start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(d.kill)
	addrs, err := d.awaitServing()
	if err != nil {
		t.Fatal(err)
	}
	d.url, d.sandbox = "http://"+addrs["HTTP"], addrs["SANDBOX"]
	return d
}

// mint returns a token that can be revoked.
func (d *devQuash) mint(t *testing.T) string {
	t.Helper()
	return strings.TrimSpace(string(d.ask(t, http.MethodPost, "/_sandbox/tokens", "")))
}

// ask has the sandbox do something.
func (d *devQuash) ask(t *testing.T, method, path, body string) []byte {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, d.sandbox+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode/100 != 2 {
		t.Fatalf("%s %s: %s, %v: %s", method, path, resp.Status, err, answer)
	}
	return answer
}

// quoted matches text as it is.
func quoted(text string) string { return regexp.QuoteMeta(text) }

package main

import (
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
)

// A token is revoked from the page of /docs, at each door, and then refused.
func TestDocsInABrowser(t *testing.T) {
	t.Parallel()
	p := openTab(t)
	quash := startDev(t)
	p.do(t, chromedp.Navigate(quash.url+"/docs"))
	p.await(t, "#summary", "tells the truth")
	var tokens []string
	for _, tt := range []struct{ operation, success, outcome, failure string }{
		{"revoke", "200 OK", "REVOKED", "400 Bad Request"},
		{"revokeBySlashIDContract", "204 No Content", "The token is dead", "400 Bad Request"},
	} {
		token := quash.mint(t)
		tokens = append(tokens, token)
		card := "#" + tt.operation
		input := card + ` input[name="token"]`
		p.do(t, chromedp.SendKeys(input, token), chromedp.Click(card+" button"))
		attributes, err := chromedp.Run(p.ctx, chromedp.Attributes(input))
		if err != nil {
			t.Fatal(err)
		}
		if attributes["type"] != "password" || attributes["autocomplete"] != "off" {
			t.Errorf("%s: the field of the token is %q", tt.operation, attributes)
		}
		p.await(t, card+" .status", "^"+quoted(tt.success)+"$")
		p.await(t, card+" .answer", quoted(tt.outcome))
		p.await(t, card+" .headers", "slashid-correlation-id\n+[0-9a-f-]{36}")
		p.picture(t, tt.operation+".png")
		p.do(t, chromedp.Click(card+" button"))
		p.await(t, card+" .status", "^"+quoted(tt.failure)+"$")
		p.await(t, card+" .said", "^TOKEN_REJECTED · NOT_APPLIED$")
		p.await(t, card+" .meaning", "this call did not see to it")
		p.await(t, card+" pre", "already revoked")
	}
	p.picture(t, "refused.png")
	if kept := evaluate[int](t, p, `localStorage.length + sessionStorage.length + document.cookie.length`); kept > 0 {
		t.Error("the page keeps something")
	}
	for _, url := range p.requests() {
		if !strings.HasPrefix(url, quash.url+"/") && url != "data:," && !strings.HasPrefix(url, "about:") {
			t.Errorf("the page asked elsewhere: %s", url)
		}
		for _, token := range tokens {
			if strings.Contains(url, token) {
				t.Error("a token is in a URL")
			}
		}
	}
	if errors := p.errors(); len(errors) > 0 {
		t.Errorf("%q", errors)
	}
}

// What the fields say reaches the call: the page does not choose for its reader.
func TestDocsShowWhatIsWrong(t *testing.T) {
	t.Parallel()
	p := openTab(t)
	quash := startDev(t)
	p.do(t,
		chromedp.Navigate(quash.url+"/docs"),
		chromedp.SetValue(`#revoke select[name="consistency"]`, "CONSISTENCY_ALL_REGIONS"),
		chromedp.SendKeys(`#revoke input[name="timeout"]`, "121s"),
		chromedp.Click("#revoke button"))
	p.await(t, "#revoke .status", "^400 Bad Request$")
	p.await(t, "#revoke .said", "^INVALID_REQUEST · NOT_APPLIED$")
	answer := p.await(t, "#revoke pre", "fieldViolations")
	for _, want := range []string{`"field": "token"`, `"field": "timeout"`, "less than or equal to 120s"} {
		if !strings.Contains(answer, want) {
			t.Errorf("%s is missing in %s", want, answer)
		}
	}
}

// 408 is no failure, and does not look like one. Chromium would ask again by itself if
// it came on a connection that it had used before.
func TestDocsShowWhatGoesOn(t *testing.T) {
	t.Parallel()
	p := openTab(t)
	quash := startDev(t)
	for _, region := range []string{"eu-west", "ap-south"} {
		quash.ask(t, "PUT", "/_sandbox/regions/"+region, `{"lag":"1h"}`)
	}
	p.do(t,
		chromedp.Navigate(quash.url+"/docs"),
		chromedp.WaitReady("#revokeBySlashIDContract button"),
		chromedp.SendKeys(`#revokeBySlashIDContract input[name="token"]`, quash.mint(t)),
		chromedp.SetValue(`#revokeBySlashIDContract select[name="SlashID-Required-Consistency"]`, "all_regions"),
		chromedp.SendKeys(`#revokeBySlashIDContract input[name="SlashID-Required-Consistency-Timeout"]`, "1"),
		chromedp.Click("#revokeBySlashIDContract button"))
	p.await(t, "#revokeBySlashIDContract .status", "^408 Request Timeout$")
	p.await(t, "#revokeBySlashIDContract .said", "^CONSISTENCY_TIMEOUT · IN_PROGRESS$")
	p.await(t, "#revokeBySlashIDContract .meaning", "SlashID goes on by itself")
}

package main

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/quashdev/quash/internal/secrettest"
	"github.com/quashdev/quash/sandbox"
)

// Wherever a report of ghz's has a token, nothing of it is kept or printed.
func TestNoTokenIsKept(t *testing.T) {
	t.Parallel()
	s := sandbox.Start(t, sandbox.Config{})
	tokens, err := sandboxURL(s.URL).mint(t.Context(), 4)
	if err != nil {
		t.Fatal(err)
	}
	token := tokens[0].text
	// What ghz writes when it is given its data as JSON; and what it might, if quash or
	// SlashID told tokens.
	spoilt := recorded(t, "failed.json")
	spoilt["name"] = token
	spoilt["tags"] = map[string]any{"token": token}
	spoilt["errorDistribution"] = map[string]any{"rpc error: code = Internal desc = " + token: 4}
	spoilt["options"].(map[string]any)["data"] = []any{map[string]any{"token": token}}
	spoilt["options"].(map[string]any)["metadata"] = map[string]any{"authorization": token}
	spoilt["options"].(map[string]any)["call"] = token
	for _, d := range spoilt["details"].([]any) {
		d.(map[string]any)["error"] = "rpc error: code = Internal desc = " + token
	}
	p := recordedPlan(t, "local_region")
	r := read(t, spoilt)
	page := filepath.Join(t.TempDir(), "report.html")
	verdict := errors.Join(p.checkReport(r), p.checkTruth(r, tokens, nil))
	if err := writePage(page, &result{p, r, verdict}); err != nil {
		t.Fatal(err)
	}
	written, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	searcher := secrettest.NewSearcher(secrettest.OfToken("the token", token)...)
	for where, text := range map[string]string{
		"page": string(written), "summary": r.summary(), "verdict": verdict.Error(), "plan": p.String(),
	} {
		if what, at := searcher.Find(text); what != "" {
			t.Errorf("the %s has %s at %d: %s", where, what, at, text)
		}
	}
}

// The page says what there was, and needs nothing from anywhere.
func TestPage(t *testing.T) {
	t.Parallel()
	p := recordedPlan(t, "mixed")
	for name, test := range map[string]struct {
		verdict error
		want    []string
	}{
		"ok.json":     {nil, []string{"4 calls, 2 at a time over 2 connections, consistency mixed, the other regions 0s behind", ">Passed<", "<th>OK<td class=\"number\">4", "<th>p99<td>"}},
		"failed.json": {errors.New("one thing\n<another>"), []string{">Failed<", "<li>one thing", "<li>&lt;another&gt;", "<th>OK<td class=\"number\">1\n", "<th>Internal<td class=\"number\">2\n"}},
	} {
		path := filepath.Join(t.TempDir(), "report.html")
		if err := writePage(path, &result{p, read(t, recorded(t, name)), test.verdict}); err != nil {
			t.Fatal(err)
		}
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, want := range test.want {
			if !strings.Contains(string(text), want) {
				t.Errorf("%s: %q is missing in\n%s", name, want, text)
			}
		}
		for _, foreign := range []string{"<script", "http:", "https:", "src="} {
			if strings.Contains(string(text), foreign) {
				t.Errorf("%s has %q", name, foreign)
			}
		}
	}
}

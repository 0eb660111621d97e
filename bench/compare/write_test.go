package main

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestReplaceGenerated(t *testing.T) {
	t.Parallel()
	const page = "before\n" + generatedBegins + "old\n" + generatedEnds + "after\n"
	got, err := replaceGenerated([]byte(page), "new\n")
	if err != nil {
		t.Fatal(err)
	}
	if want := "before\n" + generatedBegins + "\nnew\n\n" + generatedEnds + "after\n"; string(got) != want {
		t.Errorf("got %q", got)
	}
	if again, err := replaceGenerated(got, "new\n"); err != nil || string(again) != string(got) {
		t.Errorf("once more makes it %q, %v", again, err)
	}
	for _, page := range []string{"", generatedBegins, generatedEnds + generatedBegins} {
		if got, err := replaceGenerated([]byte(page), "new\n"); err == nil {
			t.Errorf("%q becomes %q", page, got)
		}
	}
}

// The page of this repository is one that tables go into.
func TestDocument(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile(filepath.Join("..", "..", document))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := replaceGenerated(page, "new\n"); err != nil {
		t.Error(err)
	}
}

func TestWrite(t *testing.T) {
	t.Chdir(t.TempDir())
	if err := keep(document, []byte("# Performance\n"+generatedBegins+generatedEnds)); err != nil {
		t.Fatal(err)
	}
	r := newTestReport()
	if err := r.write(options{out: "results"}, io.Discard); err != nil {
		t.Fatal(err)
	}
	if page, _ := os.ReadFile(document); strings.Contains(string(page), "Fast One") {
		t.Error("without being told it writes into the document")
	}
	if err := r.write(options{out: "results", update: true}, io.Discard); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		"results/report.md":  "](./memory.svg)",
		"results/memory.svg": memoryTitle,
		"results/memory.png": "PNG",
		document:             "](performance/memory.svg)",
		"docs/performance/throughput-rest-http2.svg": "REST",
	} {
		if content, err := os.ReadFile(path); err != nil || !strings.Contains(string(content), want) {
			t.Errorf("%s, %v, holds no %q", path, err, want)
		}
	}
}

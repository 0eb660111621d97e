package main

import (
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

var withNPM = flag.Bool("npm", false, "fetch public tools with npm, and check openapi.json with them")

// Others' tools read the document that quash serves: a linter finds nothing wrong, and
// a client that was generated from it, and whose use compiles, revokes tokens.
func TestPublicTools(t *testing.T) {
	t.Parallel()
	if !*withNPM {
		t.Skip("needs -npm, node and npm: make openapi")
	}
	for _, program := range []string{"node", "npm"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skipf("needs %s, which is not installed", program)
		}
	}
	work := t.TempDir()
	if err := os.CopyFS(work, os.DirFS("testdata/openapi")); err != nil {
		t.Fatal(err)
	}
	quash := startDev(t)
	run := func(input, name string, args ...string) string {
		cmd := exec.CommandContext(t.Context(), name, args...)
		cmd.Dir, cmd.Stdin = work, strings.NewReader(input)
		cmd.Env = append(os.Environ(), "QUASH_URL="+quash.url, "REDOCLY_TELEMETRY=off")
		output, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%s %q: %v\n%s", name, args, err, output)
		}
		return string(output)
	}
	tool := func(name string) string { return filepath.Join(work, "node_modules", ".bin", name) }

	run("", "npm", "install", "--no-audit", "--no-fund", "--ignore-scripts")
	// As it is served, not as it lies here.
	run("", "node", "-e", `fetch(process.env.QUASH_URL + "/openapi.json").then((a) => a.text()).then((t) => require("fs").writeFileSync("openapi.json", t))`)
	t.Log(run("", tool("redocly"), "lint", "openapi.json", "--max-problems", "100"))
	run("", tool("openapi-ts"), "-i", "openapi.json", "-o", "generated")
	run("", tool("tsc"), "-p", ".")
	got := run(quash.mint(t)+"\n"+quash.mint(t)+"\n", "node", "js/client.js")
	t.Log(got)
	want := strings.Join([]string{
		"native 200 OUTCOME_REVOKED",
		"native 400 TOKEN_REJECTED REVOCATION_STATE_NOT_APPLIED",
		"drop-in 204",
		"drop-in 400 TOKEN_REJECTED 1",
	}, "\n")
	if strings.TrimSpace(got) != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

package e2e

import (
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

var withNPM = flag.Bool("npm", false, "run the tests that fetch packages with npm: the examples, and OpenAPI tools")

// node returns a function that runs programs in a directory. It skips the test unless -npm is
// set. Callers of npm pass --ignore-scripts: the install scripts of packages are not needed.
func node(t *testing.T, dir string, environment ...string) (run func(input, name string, args ...string) string) {
	t.Helper()
	if !*withNPM {
		t.Skip("fetches packages with npm; run with -npm")
	}
	return func(input, name string, args ...string) string {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), name, args...)
		cmd.Dir, cmd.Stdin = dir, strings.NewReader(input)
		cmd.Env = append(os.Environ(), environment...)
		output, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%s %q: %v\n%s", name, args, err, output)
		}
		return string(output)
	}
}

// findPython returns a Python interpreter that can run the Python example, or "" if there is none.
// Debian's packages are for /usr/bin/python3, which need not be the first python3 in PATH.
func findPython(t *testing.T) string {
	t.Helper()
	for _, name := range []string{"python3", "/usr/bin/python3"} {
		if exec.CommandContext(t.Context(), name, "-c", "import grpc, google.protobuf").Run() == nil {
			return name
		}
	}
	return ""
}

// The examples pass their tests, and the commands in docs/callers.md print the output that the
// page shows.
func TestExamples(t *testing.T) {
	t.Parallel()
	const examples = "../../examples"
	for _, example := range []string{"node", "slashid-sdk"} {
		node(t, filepath.Join(examples, example))("", "npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error")
	}
	python := findPython(t)
	t.Log(node(t, examples, "QUASH="+program, "PYTHON="+python)("", "node", "--test"))
	t.Run("python", func(t *testing.T) {
		t.Parallel()
		if python == "" {
			t.Skip("the Python example is not tested: no python3 can import grpc; on Debian, install python3-grpcio")
		}
		t.Log(node(t, filepath.Join(examples, "python"))("", python, "-m", "unittest", "discover", "-s", "test", "-v"))
	})
}

// Public tools accept the OpenAPI document that quash serves: a linter reports no problem, and a
// generated TypeScript client compiles and revokes tokens.
func TestOpenAPITools(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	q := dev(t, nil)
	run := node(t, dir, "QUASH_URL="+q.url(), "REDOCLY_TELEMETRY=off")
	if err := os.CopyFS(dir, os.DirFS("testdata/openapi")); err != nil {
		t.Fatal(err)
	}
	_, document := send(t, "GET", q.url()+"/openapi.json", "")
	if err := os.WriteFile(filepath.Join(dir, "openapi.json"), []byte(document), 0o600); err != nil {
		t.Fatal(err)
	}
	tool := func(name string) string { return filepath.Join(dir, "node_modules", ".bin", name) }
	run("", "npm", "install", "--no-audit", "--no-fund", "--ignore-scripts")
	t.Log(run("", tool("redocly"), "lint", "openapi.json", "--max-problems", "100"))
	run("", tool("openapi-ts"), "-i", "openapi.json", "-o", "generated")
	run("", tool("tsc"), "-p", ".")
	got := run(q.mint(t)+"\n"+q.mint(t)+"\n", "node", "js/client.js")
	const want = `native 200 OUTCOME_REVOKED
native 400 TOKEN_REJECTED REVOCATION_STATE_NOT_APPLIED
drop-in 204
drop-in 400 TOKEN_REJECTED 1
`
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

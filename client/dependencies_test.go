package client_test

import (
	"flag"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "record the dependencies as they are")

// What a caller's program links because of this package is on record: to add to it is
// somebody's decision. Of ours it is the stub alone, and so nothing that is for servers.
func TestDependencies(t *testing.T) {
	t.Parallel()
	const record = "testdata/dependencies.txt"
	const query = `{{with .Module}}{{if .Main}}{{$.ImportPath}}{{else}}{{.Path}}{{end}}{{end}}`
	output, err := exec.CommandContext(t.Context(), "go", "list", "-deps", "-f", query, ".").Output()
	if err != nil {
		t.Fatal(err)
	}
	got := strings.Fields(string(output))
	slices.Sort(got)
	got = slices.Compact(got)
	for _, path := range got {
		if own := "github.com/quashdev/quash/"; strings.HasPrefix(path, own) && path != own+"client" && path != own+"gen/quash/v1" {
			t.Errorf("%s is linked: not the stub", path)
		}
	}
	if *update {
		if err := os.WriteFile(record, []byte(strings.Join(got, "\n")+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	recorded, err := os.ReadFile(record)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(strings.Fields(string(recorded)), got); diff != "" {
		t.Errorf("go test ./client -run Dependencies -update records this (-recorded +linked):\n%s", diff)
	}
}

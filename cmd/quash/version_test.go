package main

import (
	"io"
	"runtime"
	"strings"
	"testing"
)

func TestVersionSetByTheLinker(t *testing.T) { // not parallel: it changes a global variable
	defer func(old string) { version = old }(version)
	version = "v1.2.3"
	var stdout strings.Builder
	if err := new(versionCmd).Run(streams{in: nil, out: &stdout, err: io.Discard}); err != nil {
		t.Fatal(err)
	}
	words := strings.Fields(stdout.String())
	if len(words) < 3 || words[0] != "quash" || words[1] != "v1.2.3" || words[len(words)-1] != runtime.Version() {
		t.Errorf("%q", &stdout)
	}
}

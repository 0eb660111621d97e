package main

import (
	"bytes"
	"encoding/json"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/encoding/protodelim"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	quashv1 "github.com/quashdev/quash/gen/quash/v1"
	"github.com/quashdev/quash/service"
)

// ghz.json names what ghz v0.121.0 knows, and a call that there is.
func TestConfig(t *testing.T) {
	t.Parallel()
	var c struct {
		Name                string `json:"name"`
		Call                string `json:"call"`
		Host                string `json:"host"`
		Insecure            bool   `json:"insecure"`
		Total               int    `json:"total"`
		Concurrency         int    `json:"concurrency"`
		Connections         int    `json:"connections"`
		Timeout             string `json:"timeout"`
		DisableTemplateData bool   `json:"disable-template-data"` //nolint:tagliatelle // ghz's name
	}
	decoder := json.NewDecoder(bytes.NewReader(configJSON))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&c); err != nil {
		t.Fatal(err)
	}
	if call := strings.TrimPrefix(quashv1.TokenService_Revoke_FullMethodName, "/"); c.Call != call {
		t.Errorf("the call is %s, and there is %s", c.Call, call)
	}
	if timeout, err := time.ParseDuration(c.Timeout); err != nil || timeout <= service.LongestCall {
		t.Errorf("ghz gives up after %s (%v), and a call may take %s", c.Timeout, err, service.LongestCall)
	}
	if c.Host != "127.0.0.1:9090" || !c.Insecure {
		t.Errorf("%s, insecure %t, is not where quash dev serves", c.Host, c.Insecure)
	}
	if c.Total < 1 || c.Connections < 1 || c.Concurrency < c.Connections {
		t.Errorf("ghz would not take %+v", c)
	}
}

func TestNewPlan(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		settings                        settings
		total, concurrency, connections int
	}{
		{settings{consistency: "local_region"}, 20_000, 64, 4},
		{settings{consistency: "mixed", calls: 1_000_000, concurrency: 500}, 1_000_000, 500, 4},
		{settings{consistency: "all_regions", concurrency: 3}, 20_000, 3, 3},
		{settings{consistency: "all_regions", calls: 1}, 1, 1, 1},
	} {
		p, err := newPlan(test.settings)
		if err != nil || p.Total != test.total || p.Concurrency != test.concurrency || p.Connections != test.connections {
			t.Errorf("%+v: got %+v, %v", test.settings, p, err)
		}
	}
	for _, s := range []settings{
		{consistency: "local_region", calls: -1},
		{consistency: "local_region", calls: 1_000_001},
		{consistency: "local_region", concurrency: -1},
		{consistency: "local_region", lag: -1},
		{consistency: "everywhere"},
		{},
	} {
		if p, err := newPlan(s); err == nil {
			t.Errorf("%+v is taken for %+v", s, p)
		}
	}
}

// Each call has a token of its own, asks for what its turn is, and may wait as long as
// calls can.
func TestEncode(t *testing.T) {
	t.Parallel()
	tokens := []token{{text: "a.b.c"}, {text: "d.e.f"}, {text: "g.h.i"}}
	for consistency, asked := range map[string][]quashv1.Consistency{
		"local_region": {local, local, local}, "all_regions": {all, all, all}, "mixed": {local, all, local},
	} {
		encoded, err := recordedPlan(t, consistency).encode(tokens)
		if err != nil {
			t.Fatal(err)
		}
		requests := bytes.NewReader(encoded)
		for i, token := range tokens {
			var got quashv1.RevokeRequest
			if err := protodelim.UnmarshalFrom(requests, &got); err != nil {
				t.Fatal(err)
			}
			want := &quashv1.RevokeRequest{Token: token.text, Consistency: asked[i], Timeout: durationpb.New(120 * time.Second)}
			if !proto.Equal(&got, want) {
				t.Errorf("%s: call %d is %v, want %v", consistency, i, &got, want)
			}
		}
		if requests.Len() > 0 {
			t.Errorf("%s: %d bytes more", consistency, requests.Len())
		}
	}
}

// What ghz is not is not installed.
func TestInstallGHZNeedsAVersion(t *testing.T) {
	t.Parallel()
	for _, pkg := range []string{"", "github.com/bojand/ghz/cmd/ghz"} {
		if binary, err := installGHZ(t.Context(), t.TempDir(), pkg); err == nil {
			t.Errorf("%q became %s", pkg, binary)
		}
	}
}

var (
	// jqObject is an object in a jq program, of which . is a token.
	jqObject = regexp.MustCompile(`\[inputs \| (\{.*?\})\]`)
	jqKey    = regexp.MustCompile(`(\w+):`)
)

// The page for people tells them what is so.
func TestDocumented(t *testing.T) {
	t.Parallel()
	page := readFile(t, "../../docs/load.md")
	var ghz string
	for line := range strings.Lines(readFile(t, "../../Makefile")) {
		if name, value, found := strings.Cut(line, ":="); found && strings.TrimSpace(name) == "GHZ" {
			ghz = strings.TrimSpace(value)
		}
	}
	p, err := newPlan(settings{consistency: "local_region"})
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"go install " + ghz + "\n", "--config " + configPath + " ", p.String() + "\n",
		"`CALLS=20000`", "`CONCURRENCY=64`", "ghz.json says 130 s", "--proto proto/quash/v1/token_service.proto",
	} {
		if !strings.Contains(page, want) {
			t.Errorf("docs/load.md does not say %q", want)
		}
	}
	objects := jqObject.FindAllStringSubmatch(page, -1)
	if len(objects) != 2 {
		t.Errorf("docs/load.md has %d programs for jq", len(objects))
	}
	for _, o := range objects {
		request := strings.Replace(jqKey.ReplaceAllString(o[1], `"$1":`), ": .", `: "a.b.c"`, 1)
		var req quashv1.RevokeRequest
		if err := protojson.Unmarshal([]byte(request), &req); err != nil || req.GetToken() != "a.b.c" {
			t.Errorf("%s makes %s, which is no request: %v", o[1], request, err)
		}
	}
	for name := range consistencies {
		if !strings.Contains(page, "`"+name+"`") {
			t.Errorf("docs/load.md does not know %s", name)
		}
	}
	if readme := readFile(t, "../../README.md"); !slices.Contains(strings.Fields(readme), "[docs/load.md](docs/load.md),") {
		t.Error("README.md does not lead to docs/load.md")
	}
}

func readFile(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

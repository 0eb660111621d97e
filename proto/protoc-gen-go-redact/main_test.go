package main

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/bufbuild/protocompile"
	gengo "google.golang.org/protobuf/cmd/protoc-gen-go/internal_gengo"
	"google.golang.org/protobuf/compiler/protogen"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/pluginpb"
)

const (
	sampleFile   = "sample.proto"
	importedFile = "imported.proto"
)

// imported is generated elsewhere, by the plain protoc-gen-go for instance.
const imported = `
	edition = "2023";
	package imported;
	option go_package = "example.com/imported";
	message Public { string text = 1; }
	message Key { string text = 1 [debug_redact = true]; }
	message Ring { Key key = 1; }
	message Open { extensions 1 to max; }`

// newPlugin is protogen's, asked for the Go code of a source.
func newPlugin(t *testing.T, source, parameter string) *protogen.Plugin {
	t.Helper()
	compiler := protocompile.Compiler{
		Resolver: protocompile.WithStandardImports(&protocompile.SourceResolver{
			Accessor: protocompile.SourceAccessorFromMap(map[string]string{sampleFile: source, importedFile: imported}),
		}),
		SourceInfoMode: protocompile.SourceInfoStandard,
	}
	files, err := compiler.Compile(t.Context(), sampleFile)
	if err != nil {
		t.Fatal(err)
	}
	req := &pluginpb.CodeGeneratorRequest{FileToGenerate: []string{sampleFile}, Parameter: new("paths=source_relative," + parameter)}
	seen := map[string]bool{}
	var add func(file protoreflect.FileDescriptor)
	add = func(file protoreflect.FileDescriptor) {
		if seen[file.Path()] {
			return
		}
		seen[file.Path()] = true
		for i := range file.Imports().Len() {
			add(file.Imports().Get(i))
		}
		req.ProtoFile = append(req.ProtoFile, protodesc.ToFileDescriptorProto(file))
	}
	add(files[0])
	// The plugin gets its request by the wire, with its options decoded.
	wire, err := proto.Marshal(req)
	if err != nil {
		t.Fatal(err)
	}
	req.Reset()
	if err := proto.Unmarshal(wire, req); err != nil {
		t.Fatal(err)
	}
	plugin, err := protogen.Options{}.New(req)
	if err != nil {
		t.Fatal(err)
	}
	return plugin
}

// generated is what plugin writes into sample.pb.go.
func generated(t *testing.T, plugin *protogen.Plugin) string {
	t.Helper()
	resp := plugin.Response()
	if resp.GetError() != "" || len(resp.GetFile()) != 1 || resp.GetFile()[0].GetName() != "sample.pb.go" {
		t.Fatalf("unexpected response: %v", resp)
	}
	return resp.GetFile()[0].GetContent()
}

// A secret that could be printed all the same is not generated.
func TestGenerateRefuses(t *testing.T) {
	t.Parallel()
	const cannot = "cannot be redacted"
	for _, tc := range []struct{ name, source, parameter, want string }{
		{name: "repeated", source: `message M { repeated string s = 1 [debug_redact = true]; }`, want: "sample.M.s"},
		{name: "map", source: `message M { map<string, string> s = 1 [debug_redact = true]; }`, want: "sample.M.s"},
		{name: "oneof", source: `message M { oneof o { string s = 1 [debug_redact = true]; } }`, want: "sample.M.s"},
		{name: "number", source: `message M { int64 s = 1 [debug_redact = true]; }`, want: "sample.M.s"},
		{name: "bool", source: `message M { bool s = 1 [debug_redact = true]; }`, want: "sample.M.s"},
		{name: "enum", source: `enum E { Z = 0; } message M { E s = 1 [debug_redact = true]; }`, want: "sample.M.s"},
		{name: "message", source: `message M { P s = 1 [debug_redact = true]; } message P {}`, want: "sample.M.s"},
		{name: "group", source: `message M { P s = 1 [debug_redact = true, features.message_encoding = DELIMITED]; } message P {}`, want: "sample.M.s"},
		{name: "the second of two", source: `message M { string a = 1 [debug_redact = true]; int32 s = 2 [debug_redact = true]; }`, want: "sample.M.s"},
		{name: "in a nested message", source: `message M { message N { int32 s = 1 [debug_redact = true]; } }`, want: "sample.M.N.s"},
		{name: "opaque API", source: `message M { string s = 1 [debug_redact = true]; }`, parameter: "default_api_level=API_OPAQUE", want: "sample.M.s"},
		{name: "hybrid API", source: `message M { string s = 1 [debug_redact = true]; }`, parameter: "default_api_level=API_HYBRID", want: "sample.M.s"},

		{name: "in a message within", source: `message M { S f = 1; } message S { string s = 1 [debug_redact = true]; }`, want: "sample.M.f"},
		{name: "in messages within", source: `message M { repeated S f = 1; } message S { string s = 1 [debug_redact = true]; }`, want: "sample.M.f"},
		{name: "in messages of a map", source: `message M { map<int32, S> f = 1; } message S { string s = 1 [debug_redact = true]; }`, want: "sample.M.f"},
		{name: "in a message of a oneof", source: `message M { oneof o { S f = 1; } } message S { string s = 1 [debug_redact = true]; }`, want: "sample.M.f"},
		{name: "in the message itself", source: `message M { string s = 1 [debug_redact = true]; M f = 2; }`, want: "sample.M.f"},
		{name: "in an imported message", source: `message M { imported.Key f = 1; }`, want: "sample.M.f"},
		{name: "deep in an imported message", source: `message M { imported.Ring f = 1; }`, want: "sample.M.f"},
		{name: "behind a cycle", source: `message M { A f = 1; } message A { B b = 1; } message B { A a = 1; imported.Ring r = 2; }`, want: "sample.M.f"},

		{name: "extension", source: `extend imported.Open { string s = 1 [debug_redact = true]; }`, want: "sample.s"},
		{name: "nested extension", source: `message M { extend imported.Open { string s = 1 [debug_redact = true]; } }`, want: "sample.M.s"},
		{name: "extension that leads to one", source: `extend imported.Open { imported.Ring s = 1; }`, want: "sample.s"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			plugin := newPlugin(t, sampleSource(tc.source), tc.parameter)
			err := generate(plugin)
			if want := sampleFile + ": " + tc.want + ": " + cannot; err == nil || !strings.HasPrefix(err.Error(), want) {
				t.Errorf("got %v, want %s", err, want)
			}
		})
	}
}

// What is optional in proto3 stands in a oneof, but of protoc's making.
func TestGenerateTakesOptional(t *testing.T) {
	t.Parallel()
	plugin := newPlugin(t, `syntax = "proto3"; option go_package = "example.com/sample"; message M { optional string s = 1 [debug_redact = true]; }`, "")
	if err := generate(plugin); err != nil {
		t.Fatal(err)
	}
	if text := generated(t, plugin); !strings.Contains(text, "case 1: // s\n") {
		t.Errorf("s is not redacted in %s", text)
	}
}

func sampleSource(declarations string) string {
	return `edition = "2023"; package sample; option go_package = "example.com/sample"; import "imported.proto"; message Used { imported.Public p = 1; }` + declarations
}

// Without a secret a file is protoc-gen-go's own, whatever the API.
func TestGenerateLeavesOthersAlone(t *testing.T) {
	t.Parallel()
	source := sampleSource(`
		message M { string s = 1 [debug_redact = false]; map<string, M> all = 2; oneof o { Used used = 3; } }
		extend imported.Open { string text = 1; Used used = 2; }`)
	for _, parameter := range []string{"", "default_api_level=API_OPAQUE"} {
		ours, theirs := newPlugin(t, source, parameter), newPlugin(t, source, parameter)
		if err := generate(ours); err != nil {
			t.Fatal(err)
		}
		gengo.GenerateFile(theirs, theirs.FilesByPath[sampleFile])
		if got, want := generated(t, ours), generated(t, theirs); got != want {
			t.Errorf("%s: got %s, want %s", parameter, got, want)
		}
		resp := ours.Response()
		if resp.GetSupportedFeatures() != gengo.SupportedFeatures || resp.GetMaximumEdition() != int32(gengo.SupportedEditionsMaximum) ||
			resp.GetMinimumEdition() != int32(gengo.SupportedEditionsMinimum) {
			t.Errorf("supported are %d, editions %d to %d", resp.GetSupportedFeatures(), resp.GetMinimumEdition(), resp.GetMaximumEdition())
		}
	}
}

func TestWithoutString(t *testing.T) {
	t.Parallel()
	const before, method, after = "package p\n\n", "func (x *M) String() string {\n\treturn protoimpl.X.MessageStringOf(x)\n}\n\n", "func (*M) ProtoMessage() {}\n"
	for _, tc := range []struct{ name, content, want string }{
		{"as ever", before + method + after, before + after},
		{"gone", before + after, ""},
		{"another body", before + strings.Replace(method, "MessageStringOf", "TextOf", 1) + after, ""},
		{"another message's", before + strings.Replace(method, "*M", "*MM", 1) + after, ""},
		{"twice", before + method + method + after, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			got, err := withoutString([]byte(tc.content), "M")
			if string(got) != tc.want || (err == nil) != (tc.want != "") {
				t.Errorf("got %q, %v", got, err)
			}
		})
	}
}

// The fields that can be redacted, next to some that have nothing to hide.
const printedSource = `
	edition = "2023";
	package sample;
	option go_package = "example.com/sample;main";
	message Strings {
		string implicit = 1 [debug_redact = true, features.field_presence = IMPLICIT];
		string explicit = 2 [debug_redact = true];
		string required = 3 [debug_redact = true, features.field_presence = LEGACY_REQUIRED];
		string needed = 4 [features.field_presence = LEGACY_REQUIRED];
	}
	message Bytes {
		bytes implicit = 1 [debug_redact = true, features.field_presence = IMPLICIT];
		bytes explicit = 2 [debug_redact = true];
	}
	message Outer {
		message Inner {
			string secret = 1 [debug_redact = true];
			repeated string list = 2;
			map<string, Outer> map = 3;
			oneof choice {
				string text = 4;
				Outer outer = 5;
			}
			Outer one = 6;
		}
		int32 number = 1;
	}`

const printingProgram = `package main

import (
	"fmt"
	"strings"

	"google.golang.org/protobuf/proto"
)

func main() {
	for _, m := range []fmt.Formatter{
		&Strings{Implicit: "secret", Explicit: proto.String("secret"), Required: proto.String("secret")},
		&Strings{Explicit: proto.String("")},
		&Strings{Needed: proto.String("not UTF-8: \xff")},
		&Strings{},
		(*Strings)(nil),
		&Bytes{Implicit: []byte("secret"), Explicit: []byte("secret")},
		&Bytes{Explicit: []byte{}},
		&Outer_Inner{
			Secret: proto.String("secret"),
			List:   []string{"a", "b"},
			Map:    map[string]*Outer{"k": {Number: proto.Int32(1)}},
			Choice: &Outer_Inner_Text{"c"},
			One:    &Outer{Number: proto.Int32(2)},
		},
		&Outer_Inner{Choice: &Outer_Inner_Outer{&Outer{Number: proto.Int32(3)}}},
	} {
		fmt.Println(strings.Join(strings.Fields(fmt.Sprintf("%T %d", m, m)), " "))
	}
}
`

const printed = `*main.Strings implicit:"[redacted]" explicit:"[redacted]" required:"[redacted]"
*main.Strings explicit:"[redacted]"
*main.Strings proto: field sample.Strings.needed contains invalid UTF-8
*main.Strings
*main.Strings <nil>
*main.Bytes implicit:"[redacted]" explicit:"[redacted]"
*main.Bytes explicit:"[redacted]"
*main.Outer_Inner secret:"[redacted]" list:"a" list:"b" map:{key:"k" value:{number:1}} text:"c" one:{number:2}
*main.Outer_Inner outer:{number:3}
`

// What is generated compiles, and redacts all that the plugin takes. It is run as a
// package of this module that exists only to the go command.
func TestGeneratedCode(t *testing.T) {
	t.Parallel()
	plugin := newPlugin(t, printedSource, "")
	if err := generate(plugin); err != nil {
		t.Fatal(err)
	}
	here, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	folder := t.TempDir()
	overlay := map[string]string{}
	for name, content := range map[string]string{"sample.pb.go": generated(t, plugin), "main.go": printingProgram} {
		overlay[filepath.Join(here, "sample", name)] = filepath.Join(folder, name)
		if err := os.WriteFile(filepath.Join(folder, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	text, err := json.Marshal(map[string]any{"Replace": overlay})
	if err != nil {
		t.Fatal(err)
	}
	overlayFile := filepath.Join(folder, "overlay.json")
	if err := os.WriteFile(overlayFile, text, 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.CommandContext(t.Context(), "go", "run", "-overlay", overlayFile, "./sample").CombinedOutput()
	if err != nil || string(out) != printed {
		t.Errorf("%v, it printed:\n%s\nwant:\n%s", err, out, printed)
	}
}

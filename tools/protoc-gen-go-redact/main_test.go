package main

import (
	"strings"
	"testing"

	"github.com/bufbuild/protocompile"
	gengo "google.golang.org/protobuf/cmd/protoc-gen-go/internal_gengo"
	"google.golang.org/protobuf/compiler/protogen"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/types/pluginpb"
)

const (
	header = `edition = "2023"; package sample; option go_package = "example.com/sample"; import "imported.proto"; message Used { imported.Public p = 1; }`

	// imported is generated elsewhere, for example by plain protoc-gen-go.
	imported = `
		edition = "2023"; package imported; option go_package = "example.com/imported";
		message Public { string text = 1; }
		message Key { string text = 1 [debug_redact = true]; }
		message Ring { Key key = 1; }
		message Open { extensions 1 to max; }`
)

// newPlugin returns a plugin with a request for the Go code of declarations.
func newPlugin(t *testing.T, declarations, parameter string) *protogen.Plugin {
	t.Helper()
	compiler := protocompile.Compiler{Resolver: protocompile.WithStandardImports(&protocompile.SourceResolver{
		Accessor: protocompile.SourceAccessorFromMap(map[string]string{"sample.proto": header + declarations, "imported.proto": imported}),
	})}
	files, err := compiler.Compile(t.Context(), "imported.proto", "sample.proto")
	if err != nil {
		t.Fatal(err)
	}
	req := &pluginpb.CodeGeneratorRequest{FileToGenerate: []string{"sample.proto"}, Parameter: new("paths=source_relative," + parameter)}
	for _, file := range files {
		req.ProtoFile = append(req.ProtoFile, protodesc.ToFileDescriptorProto(file))
	}
	// Encode and decode the request as protoc does, which turns protocompile's own option
	// types into the generated ones.
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

// The generator rejects secrets that it cannot redact.
func TestGenerateRefuses(t *testing.T) {
	t.Parallel()
	const secret = `string s = 1 [debug_redact = true];`
	for _, tt := range []struct{ name, declarations, parameter, want string }{
		{"repeated", `message M { repeated ` + secret + ` }`, "", "sample.M.s"},
		{"map", `message M { map<string, string> s = 1 [debug_redact = true]; }`, "", "sample.M.s"},
		{"oneof", `message M { oneof o { ` + secret + ` } }`, "", "sample.M.s"},
		{"bytes", `message M { bytes s = 1 [debug_redact = true]; }`, "", "sample.M.s"},
		{"message", `message M { P s = 1 [debug_redact = true]; } message P {}`, "", "sample.M.s"},
		{"the second of two", `message M { string a = 2 [debug_redact = true]; int32 s = 1 [debug_redact = true]; }`, "", "sample.M.s"},
		{"nested message", `message M { message N { int32 s = 1 [debug_redact = true]; } }`, "", "sample.M.N.s"},
		{"opaque API", `message M { ` + secret + ` }`, "default_api_level=API_OPAQUE", "sample.M.s"},
		{"hybrid API", `message M { ` + secret + ` }`, "default_api_level=API_HYBRID", "sample.M.s"},

		{"in a nested message", `message M { S f = 1; } message S { ` + secret + ` }`, "", "sample.M.f"},
		{"in the values of a map", `message M { map<int32, S> f = 1; } message S { ` + secret + ` }`, "", "sample.M.f"},
		{"in the message itself", `message M { ` + secret + ` M f = 2; }`, "", "sample.M.f"},
		{"deep in an imported message", `message M { imported.Ring f = 1; }`, "", "sample.M.f"},
		{"behind a cycle", `message M { A f = 1; } message A { B b = 1; } message B { A a = 1; imported.Ring r = 2; }`, "", "sample.M.f"},

		{"extension", `extend imported.Open { ` + secret + ` }`, "", "sample.s"},
		{"nested extension", `message M { extend imported.Open { ` + secret + ` } }`, "", "sample.M.s"},
		{"extension that contains one", `extend imported.Open { imported.Ring s = 1; }`, "", "sample.s"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			err := generate(newPlugin(t, tt.declarations, tt.parameter))
			if want := "sample.proto: " + tt.want + ": cannot be redacted"; err == nil || !strings.HasPrefix(err.Error(), want) {
				t.Errorf("got %v, want %s", err, want)
			}
		})
	}
}

// A file without secrets is the same as protoc-gen-go's, with every API level. The code that
// is generated for a secret is in gen/, and the tests of package service cover it.
func TestGenerateDoesNotChangeOtherFiles(t *testing.T) {
	t.Parallel()
	const declarations = `
		message M { string s = 1 [debug_redact = false]; map<string, M> all = 2; oneof o { Used used = 3; } }
		extend imported.Open { string text = 1; Used used = 2; }`
	for _, parameter := range []string{"", "default_api_level=API_OPAQUE"} {
		ours, theirs := newPlugin(t, declarations, parameter), newPlugin(t, declarations, parameter)
		if err := generate(ours); err != nil {
			t.Fatal(err)
		}
		gengo.GenerateFile(theirs, theirs.FilesByPath["sample.proto"])
		if got, want := ours.Response().GetFile(), theirs.Response().GetFile(); len(got) != 1 || !proto.Equal(got[0], want[0]) {
			t.Errorf("%s: got %v, want %v", parameter, got, want)
		}
	}
}

// Command protoc-gen-go-redact is protoc-gen-go, except that messages do not print
// their secrets: the fields that are marked debug_redact, which Go's protobuf
// runtime prints like any other.
//
// What it cannot keep from being printed, it refuses to generate.
package main

import (
	"bytes"
	"fmt"

	gengo "google.golang.org/protobuf/cmd/protoc-gen-go/internal_gengo"
	"google.golang.org/protobuf/compiler/protogen"
)

func main() { protogen.Options{}.Run(generate) }

func generate(plugin *protogen.Plugin) error {
	plugin.SupportedFeatures = gengo.SupportedFeatures
	plugin.SupportedEditionsMinimum = gengo.SupportedEditionsMinimum
	plugin.SupportedEditionsMaximum = gengo.SupportedEditionsMaximum
	for _, file := range plugin.Files {
		if !file.Generate {
			continue
		}
		if err := generateFile(plugin, file); err != nil {
			return fmt.Errorf("%s: %w", file.Desc.Path(), err)
		}
	}
	return nil
}

// generateFile lets protoc-gen-go write the file, and in it puts our methods in the
// place of the one that prints secrets.
func generateFile(plugin *protogen.Plugin, file *protogen.File) error {
	secretive, err := secretiveMessages(file.Messages)
	if err == nil {
		err = noSecrets(file.Extensions)
	}
	if err != nil {
		return err
	}
	theirs := gengo.GenerateFile(plugin, file)
	if len(secretive) == 0 {
		return nil
	}
	theirs.P("// What follows is by protoc-gen-go-redact.")
	theirs.P()
	for _, message := range secretive {
		writeMethods(theirs, message)
	}
	content, err := theirs.Content()
	if err != nil {
		return err
	}
	for _, message := range secretive {
		if content, err = withoutString(content, message.GoIdent.GoName); err != nil {
			return err
		}
	}
	theirs.Skip()
	ours := plugin.NewGeneratedFile(file.GeneratedFilenamePrefix+".pb.go", file.GoImportPath)
	_, err = ours.Write(content)
	return err
}

// withoutString cuts out of a generated file the String method that protoc-gen-go
// gives to each message.
func withoutString(content []byte, message string) ([]byte, error) {
	method := fmt.Appendf(nil, "func (x *%s) String() string {\n\treturn protoimpl.X.MessageStringOf(x)\n}\n\n", message)
	if n := bytes.Count(content, method); n != 1 {
		return nil, fmt.Errorf("protoc-gen-go was expected to write this once, and wrote it %d times; "+
			"has it changed?\n%s", n, method)
	}
	return bytes.Replace(content, method, nil, 1), nil
}

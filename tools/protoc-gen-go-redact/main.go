// Command protoc-gen-go-redact is protoc-gen-go, except that messages do not print
// their secrets: the fields that are marked debug_redact, which Go's protobuf
// runtime prints like any other. It generates no file with a secret that would be
// printed all the same.
//
//	main.go    protoc-gen-go's file, with our methods in the place of its String
//	secrets.go which messages have secrets, and which secrets are refused
//	methods.go the methods
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

func generateFile(plugin *protogen.Plugin, file *protogen.File) error {
	secretive, err := secretiveMessages(file)
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
		method := fmt.Appendf(nil, "func (x *%s) String() string {\n\treturn protoimpl.X.MessageStringOf(x)\n}\n\n", message.GoIdent.GoName)
		if n := bytes.Count(content, method); n != 1 {
			return fmt.Errorf("protoc-gen-go was expected to write this once, and wrote it %d times; has it changed?\n%s", n, method)
		}
		content = bytes.Replace(content, method, nil, 1)
	}
	theirs.Skip()
	ours := plugin.NewGeneratedFile(file.GeneratedFilenamePrefix+".pb.go", file.GoImportPath)
	_, err = ours.Write(content)
	return err
}

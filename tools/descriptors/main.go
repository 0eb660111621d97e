// Command descriptors writes the protos that a caller needs as JSON, as one
// google.protobuf.FileDescriptorSet: the service, its messages, and the details of its
// errors. Libraries that load descriptors, such as grpc-js and Python's protobuf, then need
// neither a code generator nor the imported .proto files. Each named file gets the same
// content, because every example has its own copy.
package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"slices"

	_ "google.golang.org/genproto/googleapis/rpc/errdetails"
	_ "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"

	_ "github.com/quashdev/quash/gen/quash/v1"
)

// files are sorted so that each file comes after its imports.
var files = []string{
	"google/protobuf/any.proto",
	"google/protobuf/duration.proto",
	"google/rpc/status.proto",
	"google/rpc/error_details.proto",
	"quash/v1/token_service.proto",
	"quash/v1/errors.proto",
}

// details are the messages of error_details.proto that quash sends, and the messages that
// these contain.
var details = []string{"ErrorInfo", "RetryInfo", "RequestInfo", "BadRequest", "LocalizedMessage"}

func main() {
	if len(os.Args) < 2 {
		fmt.Fprintln(os.Stderr, "usage: descriptors FILE...")
		os.Exit(2)
	}
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "descriptors:", err)
		os.Exit(1)
	}
}

func run(paths []string) error {
	text, err := descriptors()
	if err != nil {
		return err
	}
	for _, path := range paths {
		if err := os.WriteFile(path, text, 0o644); err != nil { //nolint:gosec // the file is committed and contains no secret
			return err
		}
	}
	return nil
}

// descriptors returns the descriptor set as indented JSON.
func descriptors() ([]byte, error) {
	set := &descriptorpb.FileDescriptorSet{}
	for _, name := range files {
		linked, err := protoregistry.GlobalFiles.FindFileByPath(name)
		if err != nil {
			return nil, fmt.Errorf("find %s among the linked descriptors: %w", name, err)
		}
		fd := protodesc.ToFileDescriptorProto(linked)
		strip(fd)
		set.File = append(set.File, fd)
	}
	if _, err := protodesc.NewFiles(set); err != nil {
		return nil, fmt.Errorf("the descriptor set is incomplete: %w", err)
	}
	text, err := protojson.Marshal(set) //nolint:forbidigo // descriptors contain no field values
	if err != nil {
		return nil, err
	}
	// Indent the text: protojson varies its white space on purpose, so its output is not
	// reproducible.
	var indented bytes.Buffer
	if err := json.Indent(&indented, text, "", " "); err != nil {
		return nil, err
	}
	indented.WriteByte('\n')
	return indented.Bytes(), nil
}

// strip removes what callers do not need: the options with REST paths and validation rules,
// which only the server uses, and the imports for these options. Protobuf libraries older than
// 22 do not know the option debug_redact.
func strip(fd *descriptorpb.FileDescriptorProto) {
	fd.Options = nil
	fd.Dependency = slices.DeleteFunc(fd.GetDependency(), func(name string) bool { return !slices.Contains(files, name) })
	for _, service := range fd.GetService() {
		for _, method := range service.GetMethod() {
			method.Options = nil
		}
	}
	for _, message := range fd.GetMessageType() {
		for _, field := range message.GetField() {
			field.Options = nil
		}
	}
	if fd.GetName() == "google/rpc/error_details.proto" {
		fd.MessageType = slices.DeleteFunc(fd.GetMessageType(), func(m *descriptorpb.DescriptorProto) bool {
			return !slices.Contains(details, m.GetName())
		})
	}
}

// Command descriptors writes what a caller needs to know of the protos as one JSON file, a
// google.protobuf.FileDescriptorSet: the service, its messages, and the details of its
// errors. Libraries that load descriptors, as grpc-js does, need neither a generator nor
// the .proto files that ours import.
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

// files are in the order in which they import each other.
var files = []string{
	"google/protobuf/any.proto",
	"google/protobuf/duration.proto",
	"google/rpc/status.proto",
	"google/rpc/error_details.proto",
	"quash/v1/token_service.proto",
	"quash/v1/errors.proto",
}

// details are the messages of error_details.proto that quash sends, and what they are
// made of.
var details = []string{"ErrorInfo", "RetryInfo", "RequestInfo", "BadRequest", "LocalizedMessage"}

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: descriptors FILE")
		os.Exit(2)
	}
	if err := run(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, "descriptors:", err)
		os.Exit(1)
	}
}

func run(path string) error {
	set := &descriptorpb.FileDescriptorSet{}
	for _, name := range files {
		linked, err := protoregistry.GlobalFiles.FindFileByPath(name)
		if err != nil {
			return fmt.Errorf("find %s among the linked descriptors: %w", name, err)
		}
		fd := protodesc.ToFileDescriptorProto(linked)
		strip(fd)
		set.File = append(set.File, fd)
	}
	if _, err := protodesc.NewFiles(set); err != nil {
		return fmt.Errorf("something that is needed is left out: %w", err)
	}
	text, err := protojson.Marshal(set) //nolint:forbidigo // descriptors hold no values
	if err != nil {
		return err
	}
	// protojson varies its white space on purpose.
	var indented bytes.Buffer
	if err := json.Indent(&indented, text, "", " "); err != nil {
		return err
	}
	indented.WriteByte('\n')
	return os.WriteFile(path, indented.Bytes(), 0o644) //nolint:gosec // it is committed, and holds no secret
}

// strip takes away what callers do not read: REST's paths, the rules, which the server
// applies, and the imports of their options.
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

// Command imports writes the .proto files that quash's own files import, so that buf finds
// them without a registry.
//
// It prints them from the descriptors inside the Go modules that the code links, so their
// versions always match go.mod.
package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	_ "buf.build/gen/go/bufbuild/protovalidate/protocolbuffers/go/buf/validate"
	"github.com/jhump/protoreflect/v2/protoprint"
	_ "google.golang.org/genproto/googleapis/api/annotations"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
)

// roots are the files that proto/quash imports. Their own imports are written too.
var roots = []string{
	"buf/validate/validate.proto",
	"google/api/annotations.proto",
}

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: imports DIRECTORY")
		os.Exit(2)
	}
	if err := run(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, "imports:", err)
		os.Exit(1)
	}
}

func run(dir string) error {
	files := map[string]protoreflect.FileDescriptor{}
	for _, path := range roots {
		fd, err := protoregistry.GlobalFiles.FindFileByPath(path)
		if err != nil {
			return fmt.Errorf("find %s among the linked descriptors: %w", path, err)
		}
		collect(fd, files)
	}
	printer := protoprint.Printer{}
	for path, fd := range files {
		text, err := printer.PrintProtoToString(fd)
		if err != nil {
			return fmt.Errorf("print %s: %w", path, err)
		}
		out := filepath.Join(dir, filepath.FromSlash(path))
		if err := os.MkdirAll(filepath.Dir(out), 0o750); err != nil {
			return err
		}
		if err := os.WriteFile(out, []byte(text), 0o600); err != nil {
			return err
		}
	}
	return nil
}

// collect adds fd and its imports to files. It omits the well-known types, which buf has
// built in.
func collect(fd protoreflect.FileDescriptor, files map[string]protoreflect.FileDescriptor) {
	if strings.HasPrefix(fd.Path(), "google/protobuf/") {
		return
	}
	files[fd.Path()] = fd
	imports := fd.Imports()
	for i := range imports.Len() {
		collect(imports.Get(i).FileDescriptor, files)
	}
}

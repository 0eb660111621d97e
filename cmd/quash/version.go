package main

import (
	"fmt"
	"runtime"
	"runtime/debug"
	"strings"

	"github.com/quashdev/quash/service/server"
)

// version is set by the linker in release builds. In other builds it is empty, and buildInfo
// uses the version that the Go toolchain recorded.
var version string

type versionCmd struct{}

// Run prints the build.
func (*versionCmd) Run(std streams) error {
	build := buildInfo()
	words := []string{"quash", build.Version}
	for _, known := range []string{build.Revision, build.Time, build.Go} {
		if known != "" {
			words = append(words, known)
		}
	}
	_, err := fmt.Fprintln(std.out, strings.Join(words, " "))
	return err
}

func buildInfo() server.BuildInfo {
	build := server.BuildInfo{Version: version, Go: runtime.Version()}
	info, ok := debug.ReadBuildInfo()
	if ok {
		for _, setting := range info.Settings {
			switch setting.Key {
			case "vcs.revision":
				build.Revision = setting.Value
			case "vcs.time":
				build.Time = setting.Value
			}
		}
	}
	if build.Version == "" && ok {
		build.Version = info.Main.Version
	}
	if build.Version == "" {
		build.Version = "(devel)"
	}
	return build
}

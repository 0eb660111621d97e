package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// machine is where the figures come from.
type machine struct {
	cpu    string
	cores  int
	kernel string
	quash  []string // the versions of all builds
	nginx  string
	when   time.Time
}

func (s *setup) describeMachine(ctx context.Context) (m machine, err error) {
	cpuinfo, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return m, err
	}
	var name unix.Utsname
	if err := unix.Uname(&name); err != nil {
		return m, err
	}
	m = machine{cpu: cpuModel(cpuinfo), cores: runtime.NumCPU(), kernel: unix.ByteSliceToString(name.Release[:]), when: time.Now()}
	for _, b := range s.quash {
		version, err := exec.CommandContext(ctx, b.path, "version").Output() //nolint:gosec // what is to be measured
		if err != nil {
			return m, fmt.Errorf("ask %s for its version: %w", b.name, err)
		}
		m.quash = append(m.quash, string(bytes.TrimSpace(version)))
	}
	m.nginx = "not installed"
	if s.nginx != "" {
		version, err := exec.CommandContext(ctx, s.nginx, "-v").CombinedOutput() //nolint:gosec // which PATH names
		if err != nil {
			return m, fmt.Errorf("ask nginx for its version: %w", err)
		}
		m.nginx = string(bytes.TrimSpace(version))
	}
	return m, nil
}

// cpuModel finds the name of the processor, which not all machines have.
func cpuModel(cpuinfo []byte) string {
	for line := range strings.Lines(string(cpuinfo)) {
		if key, value, _ := strings.Cut(line, ":"); strings.TrimSpace(key) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return runtime.GOARCH
}

package main

import (
	"context"
	"os"
	"path/filepath"
)

// The two times that profiles are kept of.
const (
	baseline = "baseline"
	atEnd    = "end"
)

// keepProfiles writes down what quash holds now, to be compared.
func (r *run) keepProfiles(ctx context.Context, when string) error {
	for _, name := range []string{"goroutine", "heap"} {
		profile, err := r.probe.profile(ctx, name)
		if err != nil {
			return err
		}
		if err := r.keep(profileName(name, when), profile); err != nil {
			return err
		}
	}
	list, err := r.probe.listDescriptors()
	if err != nil {
		return err
	}
	return r.keep(descriptorsName(when), list)
}

func profileName(profile, when string) string { return profile + "-" + when + ".pb.gz" }

func descriptorsName(when string) string { return "descriptors-" + when + ".txt" }

func (r *run) keep(name string, content []byte) error {
	return os.WriteFile(filepath.Join(r.out, name), content, 0o644) //nolint:gosec // holds no secret
}

// lookAt is the command that shows what has grown.
func (r *run) lookAt(m *measure) string {
	path := func(name string) string { return filepath.Join(r.out, name) }
	if m.profile == "" {
		return "diff " + path(descriptorsName(baseline)) + " " + path(descriptorsName(atEnd))
	}
	return "go tool pprof -top -diff_base " + path(profileName(m.profile, baseline)) + " " + path(profileName(m.profile, atEnd))
}

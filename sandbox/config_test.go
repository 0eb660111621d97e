package sandbox

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestZeroConfig(t *testing.T) {
	t.Parallel()
	want := []Region{{Name: "us-east", Local: true}, {Name: "eu-west"}, {Name: "ap-south"}}
	if diff := cmp.Diff(want, newSandbox(t, Config{}).Regions()); diff != "" {
		t.Error(diff)
	}
}

func TestReplicationLagIsForRemoteRegions(t *testing.T) {
	t.Parallel()
	s := newSandbox(t, Config{Regions: []string{"a", "b"}, ReplicationLag: time.Second})
	want := []Region{{Name: "a", Local: true}, {Name: "b", RegionSettings: RegionSettings{Lag: time.Second}}}
	if diff := cmp.Diff(want, s.Regions()); diff != "" {
		t.Error(diff)
	}
}

func TestNewNamesEveryProblemAtOnce(t *testing.T) {
	t.Parallel()
	_, err := New(Config{
		Regions:        []string{"a", "", "a", "B", "-a", "a/b", strings.Repeat("x", 64)},
		ReplicationLag: -time.Second,
		TokenLifetime:  time.Millisecond,
	})
	if err == nil {
		t.Fatal("no error")
	}
	for _, want := range []string{
		`region ""`, `region "a" is named twice`, `region "B"`, `region "-a"`, `region "a/b"`, `region "xxx`,
		"replication lag -1s is negative", "token lifetime 1ms is below one second",
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("the error does not say %q: %v", want, err)
		}
	}
}

func TestNewKeepsItsOwnRegions(t *testing.T) {
	t.Parallel()
	names := []string{"a", "b"}
	s := newSandbox(t, Config{Regions: names})
	names[0] = "changed"
	if got := s.Regions()[0].Name; got != "a" {
		t.Errorf("the local region is %q, want a", got)
	}
}

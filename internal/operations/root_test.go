package operations

import (
	"path/filepath"
	"testing"
)

// inRoot is a path of the repository, as tests reach it.
func inRoot(path string) string { return filepath.Join("..", "..", path) }

func rules(t *testing.T) []Rule {
	t.Helper()
	all, err := ReadRules(inRoot(RulesFile))
	if err != nil {
		t.Fatal(err)
	}
	if len(all) == 0 {
		t.Fatalf("%s has no rules", RulesFile)
	}
	return all
}

func vocabulary(t *testing.T) *Vocabulary {
	t.Helper()
	v, err := ReadVocabulary(inRoot(MetricsFile), rules(t))
	if err != nil {
		t.Fatal(err)
	}
	return v
}

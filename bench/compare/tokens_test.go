package main

import (
	"regexp"
	"testing"
)

func TestTokens(t *testing.T) {
	t.Parallel()
	shape := regexp.MustCompile(`^eyJ[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]{342}$`)
	all, seen := newTokens(), map[string]bool{}
	for range 1000 {
		token := all.next()
		if len(token) != tokenSize || !shape.MatchString(token) {
			t.Fatal("what is made is not like a JWT, or of another size")
		}
		seen[token] = true
	}
	if len(seen) != 1000 {
		t.Errorf("of 1000 tokens %d are different ones", len(seen))
	}
}

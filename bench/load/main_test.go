package main

import (
	"os"
	"path/filepath"
	"testing"

	"go.uber.org/goleak"
)

// Under the name of a fakeGHZ this binary is one.
func TestMain(m *testing.M) {
	if fake, ok := fakeGHZ[filepath.Base(os.Args[0])]; ok {
		fake.main()
		return
	}
	goleak.VerifyTestMain(m)
}

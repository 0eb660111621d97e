package slashid

import (
	"io"
	"log"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	log.SetOutput(io.Discard) // to which net/http writes answers that come unasked
	goleak.VerifyTestMain(m)
}

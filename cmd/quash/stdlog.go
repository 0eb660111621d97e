package main

import (
	"log"
	"log/slog"
)

// withholdStandardLogger keeps what is written to the standard logger out of the
// log. net/http writes there what an upstream sends unasked, which may be a token
// that it got before, and can be told to write nowhere else.
func withholdStandardLogger(logger *slog.Logger) {
	log.SetFlags(0)
	log.SetOutput(withheld{logger})
}

type withheld struct{ logger *slog.Logger }

func (w withheld) Write(p []byte) (int, error) {
	w.logger.Warn("the standard library has something to say; the text is withheld, for it may repeat what an upstream sent", "bytes", len(p))
	return len(p), nil
}

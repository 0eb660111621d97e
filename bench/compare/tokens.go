package main

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/binary"
	"strings"
	"sync/atomic"
)

// tokenSize is how long a token is, in bytes: those of SlashID are of about this size.
const tokenSize = 1024

// tokens makes what looks like a JWT to whoever does not check its signature, each a
// different one. They differ in a few characters: making them should cost next to nothing.
type tokens struct {
	before, after string
	made          atomic.Uint64
}

func newTokens() *tokens {
	const (
		header    = `{"alg":"RS256","typ":"JWT","kid":"bench"}`
		signature = 342 // the characters of one of 256 bytes
		number    = 11  // those of 8 bytes
	)
	before := base64.RawURLEncoding.EncodeToString([]byte(header)) + "."
	random := make([]byte, tokenSize)
	_, _ = rand.Read(random)
	filling := base64.RawURLEncoding.EncodeToString(random)
	claims := filling[:tokenSize-len(before)-number-1-signature]
	return &tokens{before: before, after: strings.Join([]string{claims, filling[len(filling)-signature:]}, ".")}
}

func (t *tokens) next() string {
	var number [8]byte
	binary.BigEndian.PutUint64(number[:], t.made.Add(1))
	return t.before + base64.RawURLEncoding.EncodeToString(number[:]) + t.after
}

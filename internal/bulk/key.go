package bulk

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
)

const keySize = 32

// KeyPath is where the key of the journal at path is.
func KeyPath(path string) string { return path + ".key" }

// key makes the hashes that stand for tokens in a journal. It is in a file of its own, so
// that a journal can be handed over: without the key, its hashes cannot be compared with
// those of a token that is at hand.
type key []byte

func (k key) hash(text string) string {
	mac := hmac.New(sha256.New, k)
	mac.Write([]byte(text))
	return hex.EncodeToString(mac.Sum(nil)[:16])
}

// check tells whether a key is a journal's. No token has a space.
func (k key) check() string { return k.hash("is this the key?") }

// createKey makes the key of a new journal. A key that is there already is used: it may
// belong to a journal that was moved away, and is useless without it. An empty file is
// what a run leaves that is killed while it makes the key.
func createKey(path string) (key, error) {
	if info, err := os.Stat(path); err == nil && info.Size() > 0 {
		return readKey(path)
	}
	k := make(key, keySize)
	_, _ = rand.Read(k) // never fails
	// An empty file may be readable by others, so another one takes its place.
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("the journal's key cannot be created: %w", err)
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, fmt.Errorf("the journal's key cannot be created: %w", err)
	}
	_, err = f.Write(k)
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		_ = os.Remove(path)
		return nil, fmt.Errorf("the journal's key cannot be written: %w", err)
	}
	return k, nil
}

func readKey(path string) (key, error) {
	k, err := os.ReadFile(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("the journal's key %s is missing, and the journal cannot be used without it: restore the key, or start over with another journal", path)
	case err != nil:
		return nil, fmt.Errorf("the journal's key cannot be read: %w", err)
	case len(k) != keySize:
		return nil, fmt.Errorf("%s is not the key of a journal: restore the key, or start over with another journal", path)
	}
	return k, nil
}

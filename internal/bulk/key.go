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

// KeyPath returns the path of the key for the journal at path.
func KeyPath(path string) string { return path + ".key" }

// key makes the hashes that stand for tokens in a journal. It is in a separate file, so that a
// journal can be handed to others: without the key, the hashes cannot be compared with a token.
type key []byte

func (k key) hash(text string) string {
	mac := hmac.New(sha256.New, k)
	mac.Write([]byte(text))
	return hex.EncodeToString(mac.Sum(nil)[:16])
}

// check returns a hash that identifies the key. Its input has spaces, so it is not a token.
func (k key) check() string { return k.hash("is this the key?") }

// createKey returns the key for a new journal. It uses an existing key, because that may belong
// to a journal that was moved away, which is useless without it. An empty file is the rest of
// a run that was killed while it created the key.
func createKey(path string) (key, error) {
	if info, err := os.Stat(path); err == nil && info.Size() > 0 {
		return readKey(path)
	}
	k := make(key, keySize)
	_, _ = rand.Read(k) // never fails
	// An empty file may be readable by other users, so replace it.
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

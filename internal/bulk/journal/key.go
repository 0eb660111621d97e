package journal

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	stdhash "hash"
	"io"
	"io/fs"
	"os"
)

const keySize = 32

// hash stands for a token. Two tokens never have the same one.
type hash [16]byte

// hasher makes hashes, for one goroutine at a time.
type hasher struct {
	mac stdhash.Hash
	in  []byte
	out []byte
}

func newHasher(key []byte) *hasher { return &hasher{mac: hmac.New(sha256.New, key)} }

func (h *hasher) hash(token string) hash {
	h.in = append(h.in[:0], token...)
	h.mac.Reset()
	h.mac.Write(h.in)
	h.out = h.mac.Sum(h.out[:0])
	return hash(h.out[:16])
}

// check returns what a journal has to tell whether a key is its own. No token has a space.
func (h *hasher) check() hash { return h.hash("is this the key?") }

func newKey() []byte {
	key := make([]byte, keySize)
	_, _ = rand.Read(key) // never fails
	return key
}

// createKey makes the key file of a new journal. One that is there already is taken:
// it may belong to a journal that was moved away, and that would be lost without it. An
// empty one belongs to none: whoever made it was killed.
func createKey(path string) ([]byte, error) {
	if info, err := os.Lstat(path); err == nil && info.Mode().IsRegular() && info.Size() == 0 {
		_ = os.Remove(path)
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return readKey(path)
	}
	if err != nil {
		return nil, fmt.Errorf("the journal's key cannot be created: %w", err)
	}
	key := newKey()
	_, err = f.Write(key)
	if err == nil {
		err = f.Sync()
	}
	if err := errors.Join(err, f.Close()); err != nil {
		_ = os.Remove(path)
		return nil, fmt.Errorf("the journal's key cannot be written: %w", err)
	}
	return key, nil
}

func readKey(path string) ([]byte, error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("the journal's key %s is missing, and nothing tells its lines without it: put the key back, or start over with another journal", path)
	}
	if err != nil {
		return nil, fmt.Errorf("the journal's key cannot be read: %w", err)
	}
	defer f.Close()
	key, err := io.ReadAll(io.LimitReader(f, keySize+1))
	if err != nil {
		return nil, fmt.Errorf("the journal's key cannot be read: %w", err)
	}
	if len(key) != keySize {
		return nil, fmt.Errorf("%s is not the key of a journal: put the key back, or start over with another journal", path)
	}
	return key, nil
}

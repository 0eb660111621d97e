package secrettest

import (
	"crypto/md5"  //nolint:gosec // to be found, not to be used
	"crypto/sha1" //nolint:gosec // to be found, not to be used
	"crypto/sha256"
	"crypto/sha512"
	"encoding/binary"
	"strings"
)

// windowLen is the number of consecutive characters of a form that are looked up. It is less
// than the minRun of every form.
const windowLen = 8

// Searcher finds secrets in texts: any LeakLen consecutive bytes of a secret, in many forms, and
// digests of it. It is safe for concurrent use.
type Searcher struct {
	written []written
	// windows maps windowLen characters to their positions in written. There are enough
	// positions that any minRun characters contain one.
	windows map[uint64][]position
}

// written is a secret in one form.
type written struct {
	what   string
	text   []byte
	minRun int // the number of consecutive characters that reveal the secret
}

type position struct{ written, offset int }

// NewSearcher returns a searcher for the secrets. It panics if a secret is shorter than LeakLen,
// because such a text may occur anywhere by chance.
func NewSearcher(secrets ...Secret) *Searcher {
	s := &Searcher{windows: map[uint64][]position{}}
	for _, secret := range secrets {
		if len(secret.Text) < LeakLen {
			panic("secrettest: " + secret.Name + " is too short: it may occur by chance")
		}
		s.add(secret.Name, secret.Text, byteForms)
		if !strings.ContainsFunc(secret.Text, func(r rune) bool { return r < ' ' || r > '~' }) {
			s.add(secret.Name, secret.Text, textForms)
		}
		// A digest identifies the secret too, although it may look anonymous.
		text := []byte(secret.Text)
		md5, sha1, sha256, sha512 := md5.Sum(text), sha1.Sum(text), sha256.Sum256(text), sha512.Sum512(text) //nolint:gosec // to be found
		for name, digest := range map[string][]byte{"MD5": md5[:], "SHA-1": sha1[:], "SHA-256": sha256[:], "SHA-512": sha512[:]} {
			s.add("the "+name+" of "+secret.Name, string(digest), byteForms)
			s.add("the "+name+" of "+secret.Name, string(digest[:6]), []form{{"in hex, cut short", inHex, 12}})
		}
	}
	return s
}

func (s *Searcher) add(what, secret string, forms []form) {
	for _, f := range forms {
		for _, text := range f.write(secret) {
			folded := fold(text)
			minRun := min(f.minRun, len(folded))
			s.written = append(s.written, written{what + " " + f.name, folded, minRun})
			for offset := 0; offset <= len(folded)-windowLen; offset += minRun - windowLen + 1 {
				key := binary.LittleEndian.Uint64(folded[offset:])
				s.windows[key] = append(s.windows[key], position{len(s.written) - 1, offset})
			}
		}
	}
}

// Find returns which secret is in text, in which form, and where. what is "" without a leak.
func (s *Searcher) Find(text string) (what string, at int) {
	folded := fold(text)
	for i := range max(0, len(folded)-windowLen+1) {
		for _, p := range s.windows[binary.LittleEndian.Uint64(folded[i:])] {
			w := s.written[p.written]
			begin, end := i, i+windowLen
			for p.offset-(i-begin) > 0 && begin > 0 && folded[begin-1] == w.text[p.offset-(i-begin)-1] {
				begin--
			}
			for p.offset+(end-i) < len(w.text) && end < len(folded) && folded[end] == w.text[p.offset+(end-i)] {
				end++
			}
			if end-begin >= w.minRun {
				return w.what, begin
			}
		}
	}
	return "", 0
}

// fold maps upper case to lower case, and the standard alphabet of base64 to the URL alphabet.
func fold(text string) []byte {
	folded := []byte(text)
	for i, c := range folded {
		switch {
		case 'A' <= c && c <= 'Z':
			folded[i] = c + 'a' - 'A'
		case c == '+':
			folded[i] = '-'
		case c == '/':
			folded[i] = '_'
		}
	}
	return folded
}

package secrettest

import (
	"crypto/md5"  //nolint:gosec // to be found, not to be used
	"crypto/sha1" //nolint:gosec // to be found, not to be used
	"crypto/sha256"
	"crypto/sha512"
	"encoding/binary"
	"strings"
)

// windowLen is how many characters in a row of a form are looked up. All forms
// need more than that to tell anything.
const windowLen = 8

// Searcher finds secrets in texts: any TellingRun bytes in a row of one, in any of
// many forms, and its digests. It is safe for concurrent use.
type Searcher struct {
	written []written
	// windows are positions of windowLen characters in what is written, so many that any
	// telling run has one.
	windows map[uint64][]position
}

// written is a secret in a form.
type written struct {
	what  string
	text  []byte
	least int // how many characters in a row give it away
}

type position struct{ written, offset int }

// NewSearcher returns a searcher for the secrets, none of which may be shorter than
// TellingRun: that could be found anywhere.
func NewSearcher(secrets ...Secret) *Searcher {
	s := &Searcher{windows: map[uint64][]position{}}
	for _, secret := range secrets {
		if len(secret.Text) < TellingRun {
			panic("secrettest: " + secret.Name + " is too short to be told from chance")
		}
		s.add(secret.Name, secret.Text, byteForms)
		if !strings.ContainsFunc(secret.Text, func(r rune) bool { return r < ' ' || r > '~' }) {
			s.add(secret.Name, secret.Text, textForms)
		}
		// Digests may be mistaken for anonymous.
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
			least := min(f.least, len(folded))
			s.written = append(s.written, written{what + " " + f.name, folded, least})
			for offset := 0; offset <= len(folded)-windowLen; offset += least - windowLen + 1 {
				key := binary.LittleEndian.Uint64(folded[offset:])
				s.windows[key] = append(s.windows[key], position{len(s.written) - 1, offset})
			}
		}
	}
}

// Find says which secret text holds, in which form, and where; "" if none.
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
			if end-begin >= w.least {
				return w.what, begin
			}
		}
	}
	return "", 0
}

// fold makes the same of what differs only in case, or in the alphabet of base64.
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

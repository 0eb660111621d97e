package secrettest

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"strings"

	"github.com/google/uuid"
)

// A Secret is a text that must not appear, and its name for messages.
type Secret struct{ Name, Text string }

// OfToken returns what is secret of a JWT: the whole of it, its parts, which may be
// hashed by themselves, the bytes of the signature, and the claims that say which
// token it is and whose.
func OfToken(name, token string) []Secret {
	secrets := []Secret{{name, token}}
	add := func(what, text string) {
		if len(text) >= TellingRun {
			secrets = append(secrets, Secret{name + "'s " + what, text})
		}
	}
	parts := strings.Split(token, ".")
	for i, what := range []string{"header", "claims", "signature"}[:min(len(parts), 3)] {
		add(what, parts[i])
	}
	if len(parts) != 3 {
		return secrets
	}
	add("signing input", parts[0]+"."+parts[1])
	signature, _ := base64.RawURLEncoding.DecodeString(parts[2])
	add("signature, decoded", string(signature))
	decoded, _ := base64.RawURLEncoding.DecodeString(parts[1])
	var claims struct {
		JTI string `json:"jti"`
		Sub string `json:"sub"`
	}
	_ = json.Unmarshal(decoded, &claims) // what is no JWT has none
	for what, text := range map[string]string{"jti": claims.JTI, "sub": claims.Sub} {
		add(what, text)
		if id, err := uuid.Parse(text); err == nil {
			add(what+"'s bytes", string(id[:])) // which in hex are the UUID without its dashes
		}
	}
	return secrets
}

// windowLen is how many characters in a row of a form are looked up. All forms
// need more than that to tell anything.
const windowLen = 8

// Searcher finds secrets in texts: any TellingRun bytes in a row of one, in any of
// many forms, and its digests. It is safe for concurrent use.
type Searcher struct {
	forms []written
	// windows are positions of windowLen characters in forms, so many of each form that any
	// telling run of it has one.
	windows map[uint64][]position
}

// written is a secret in a form.
type written struct {
	what  string
	text  []byte
	least int // how many characters in a row give it away
}

type position struct{ form, offset int }

// NewSearcher returns a searcher for the secrets, none of which may be shorter than
// TellingRun: that could be found anywhere.
func NewSearcher(secrets ...Secret) *Searcher {
	s := &Searcher{windows: map[uint64][]position{}}
	for _, secret := range secrets {
		if len(secret.Text) < TellingRun {
			panic("secrettest: " + secret.Name + " is too short to be told from chance")
		}
		if !strings.ContainsFunc(secret.Text, func(r rune) bool { return r < ' ' || r > '~' }) {
			for _, f := range textForms {
				s.add(secret.Name, f, secret.Text)
			}
		}
		for _, f := range byteForms {
			s.add(secret.Name, f, secret.Text)
		}
		for _, digest := range digests {
			for _, f := range digestForms {
				s.add("the "+digest.name+" of "+secret.Name, f, string(digest.sum([]byte(secret.Text))))
			}
		}
	}
	return s
}

func (s *Searcher) add(what string, f form, bytes string) {
	for _, text := range f.write(bytes) {
		folded := fold(text)
		least := min(f.least, len(folded))
		s.forms = append(s.forms, written{what + " " + f.name, folded, least})
		last := len(folded) - windowLen
		for offset := 0; offset <= last; offset += least - windowLen + 1 {
			key := binary.LittleEndian.Uint64(folded[offset:])
			s.windows[key] = append(s.windows[key], position{len(s.forms) - 1, offset})
		}
	}
}

// Find says which secret text holds, in which form, and where; "" if none.
func (s *Searcher) Find(text string) (what string, at int) {
	folded := fold(text)
	for i := range max(0, len(folded)-windowLen+1) {
		for _, p := range s.windows[binary.LittleEndian.Uint64(folded[i:])] {
			f := s.forms[p.form]
			before := sharedSuffix(folded[:i], f.text[:p.offset])
			after := sharedPrefix(folded[i:], f.text[p.offset:])
			if before+after >= f.least {
				return f.what, i - before
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

func sharedPrefix(a, b []byte) int {
	n := 0
	for n < len(a) && n < len(b) && a[n] == b[n] {
		n++
	}
	return n
}

func sharedSuffix(a, b []byte) int {
	n := 0
	for n < len(a) && n < len(b) && a[len(a)-1-n] == b[len(b)-1-n] {
		n++
	}
	return n
}

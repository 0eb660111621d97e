package slashid

import (
	"encoding/base64"
	"slices"
	"strings"
)

// maxCorrelationID is the longest correlation id that is passed on; SlashID's are
// UUIDs.
const maxCorrelationID = 128

// correlationID returns SlashID's id for the request, or nothing when what came
// under that name is too long, not printable, or tells something secret.
func (r *Request) correlationID(id string) string {
	if len(id) > maxCorrelationID {
		return ""
	}
	for i := range len(id) {
		if id[i] <= ' ' || id[i] > '~' {
			return ""
		}
	}
	if r.occursIn(id) {
		return ""
	}
	return id
}

// occursIn reports whether an id tells something of what is secret in the request:
// as it is, in hex or in base64. What the parts of the token encode is as secret as
// they are: the claims say which token it is.
func (r *Request) occursIn(id string) bool {
	if id == "" {
		return false
	}
	var room [8 * maxCorrelationID]byte // more than all of it takes
	text := appendDecodings(append(room[:0], id...))
	s := screen{text: text}
	s.fill()
	return r.mayOccurIn(&s) && r.surelyOccursIn(string(text))
}

// mayOccurIn is false where surelyOccursIn is, and mostly costs far less.
func (r *Request) mayOccurIn(s *screen) bool {
	token := r.Token.Reveal()
	if s.mayTell(token) || s.mayTell(r.Credentials.APIKey.Reveal()) || s.mayTell(r.Credentials.Authorization.Reveal()) {
		return true
	}
	for part := range strings.SplitSeq(token, ".") {
		if s.mayTellDecoded(part) {
			return true
		}
	}
	return false
}

func (r *Request) surelyOccursIn(text string) bool {
	secrets := []Secret{r.Token, r.Credentials.APIKey, r.Credentials.Authorization}
	for part := range strings.SplitSeq(r.Token.Reveal(), ".") {
		decoded, err := base64.RawURLEncoding.DecodeString(part)
		if err == nil && len(decoded) >= tellingRun {
			secrets = append(secrets, NewSecret(string(decoded)))
		}
	}
	return slices.ContainsFunc(secrets, func(secret Secret) bool { return secret.OccursIn(text) })
}

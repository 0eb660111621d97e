package slashid

import (
	"encoding/base64"
	"encoding/hex"
	"net/http"
	"slices"
	"strings"
)

// maxCorrelationID is the longest correlation id that is passed on; SlashID's are
// UUIDs.
const maxCorrelationID = 128

// correlationID returns SlashID's id for the request, or nothing when what came
// under that name is too long, not printable, or tells something secret.
func (r Request) correlationID(h http.Header) string {
	id := h.Get(HeaderCorrelationID)
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
func (r Request) occursIn(id string) bool {
	if id == "" {
		return false
	}
	secrets := []Secret{r.Token, r.Credentials.APIKey, r.Credentials.Authorization}
	for part := range strings.SplitSeq(r.Token.Reveal(), ".") {
		decoded, err := base64.RawURLEncoding.DecodeString(part)
		if err == nil && len(decoded) >= tellingRun {
			secrets = append(secrets, NewSecret(string(decoded)))
		}
	}
	texts := append(decodings(id), id)
	return slices.ContainsFunc(secrets, func(secret Secret) bool {
		return slices.ContainsFunc(texts, secret.OccursIn)
	})
}

// decodings are what text is in hex and base64, wherever in it that begins.
func decodings(text string) (all []string) {
	for _, form := range []struct {
		unit   int // so many characters stand by themselves
		decode func(string) ([]byte, error)
	}{
		{2, hex.DecodeString}, {4, base64.RawStdEncoding.DecodeString}, {4, base64.RawURLEncoding.DecodeString},
	} {
		for from := range min(form.unit, len(text)) {
			whole := text[from:]
			// Where it stops being that, what was read so far is returned.
			decoded, _ := form.decode(whole[:len(whole)/form.unit*form.unit])
			if len(decoded) >= tellingRun {
				all = append(all, string(decoded))
			}
		}
	}
	return all
}

package slashid

import "strings"

// maxCorrelationID is the maximum length of a correlation id. SlashID's are UUIDs.
const maxCorrelationID = 64

// correlationID returns the id in the response header, or "" if it does not look like an id
// or contains part of a secret: an upstream may put the token there.
func (r *Request) correlationID(id string) string {
	if len(id) > maxCorrelationID || strings.ContainsFunc(id, notInID) {
		return ""
	}
	for _, secret := range []Secret{r.Token, r.Credentials.APIKey, r.Credentials.Authorization} {
		if secret.OccursIn(id) {
			return ""
		}
	}
	return id
}

func notInID(r rune) bool {
	switch {
	case 'a' <= r && r <= 'z', 'A' <= r && r <= 'Z', '0' <= r && r <= '9', r == '.', r == '_', r == '-':
		return false
	default:
		return true
	}
}

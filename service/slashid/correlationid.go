package slashid

import "strings"

// maxCorrelationID is the longest correlation id that is passed on; SlashID's are
// UUIDs.
const maxCorrelationID = 64

// correlationID returns SlashID's id for the request, or nothing if what came under that
// name does not look like an id, or holds part of a secret.
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

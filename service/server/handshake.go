package server

import "strings"

// handshakeCauses are what may be told of a handshake that failed. The rest of what
// crypto/tls says may be the peer's own words: the protocols that it offers, the names
// in its certificates.
var handshakeCauses = []string{
	"first record does not look like a TLS handshake",
	"client sent an HTTP request to an HTTPS server",
	"client offered only unsupported versions",
	"no cipher suite supported by both client and server",
	"client requested unsupported application protocols",
	"client didn't provide a certificate",
	"certificate signed by unknown authority",
	"certificate has expired or is not yet valid",
	"certificate specifies an incompatible key usage",
	"failed to verify certificate",
	"remote error: tls: bad certificate",
	"remote error: tls: unknown certificate authority",
	"remote error: tls: unknown certificate",
	"remote error",
	"connection reset by peer",
	"deadline exceeded",
	"i/o timeout",
	"EOF",
}

// handshakeCause is the first of them that text has.
func handshakeCause(text string) string {
	for _, cause := range handshakeCauses {
		if strings.Contains(text, cause) {
			return cause
		}
	}
	return "the text is withheld, for it may repeat what the peer sent"
}

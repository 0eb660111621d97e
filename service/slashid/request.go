package slashid

import (
	"encoding/json"
	"net/url"
	"strconv"
	"strings"
	"time"

	"golang.org/x/net/http/httpguts"
)

// revokePath is the endpoint, below the base URL.
const revokePath = "/token/revoke"

// The request headers of SlashID's contract. Written as HTTP/1.1 sends
// them; HTTP/2 has them in lower case.
const (
	HeaderAPIKey             = "Slashid-Api-Key"
	HeaderAuthorization      = "Authorization"
	HeaderOrgID              = "Slashid-Orgid"
	HeaderSDKVersion         = "Slashid-Sdkversion"
	HeaderConsistency        = "Slashid-Required-Consistency"
	HeaderConsistencyTimeout = "Slashid-Required-Consistency-Timeout"

	// HeaderCorrelationID is the response header with SlashID's id for the
	// request.
	HeaderCorrelationID = "Slashid-Correlation-Id"
)

// Consistency is a value of the header SlashID-Required-Consistency.
type Consistency string

// The levels that SlashID knows.
const (
	LocalRegion Consistency = "local_region"
	AllRegions  Consistency = "all_regions"
)

// Request is one revocation to attempt.
type Request struct {
	Token       Secret
	Consistency Consistency
	// Timeout is the most time that SlashID shall wait for the consistency, in
	// whole seconds, 1 s to 120 s.
	Timeout time.Duration
	// SDKVersion is the calling SDK's version, passed on when not empty.
	SDKVersion  string
	Credentials Credentials

	// Commit is asked, when it is not nil, before the token is handed to a
	// connection. When it returns false the token is kept back, and the Result is
	// KeptBack.
	Commit func() bool
}

// Credentials are the headers that authenticate a request; an absent one is not
// sent.
type Credentials struct {
	APIKey        Secret // SlashID-API-Key
	Authorization Secret // Authorization, with its scheme
	OrgID         string // SlashID-OrgID
}

// endpoint is what is the same in all requests.
type endpoint struct {
	scheme, authority, path string
}

func newEndpoint(base *url.URL) endpoint {
	u := base.JoinPath(revokePath)
	authority := asciiHost(base)
	if strings.Contains(authority, ":") {
		authority, _, _ = strings.Cut(authority, "%") // a zone is this machine's own
		authority = "[" + authority + "]"
	}
	if port := base.Port(); port != "" {
		authority += ":" + port
	}
	// JoinPath gives a base URL without a path a relative one.
	return endpoint{u.Scheme, authority, "/" + strings.TrimPrefix(u.EscapedPath(), "/")}
}

// header is the name of a header: as HTTP/1.1 has it, and as HTTP/2 does.
type header struct{ canonical, lower string }

func newHeader(canonical string) header { return header{canonical, strings.ToLower(canonical)} }

var (
	headerAccept             = newHeader("Accept")
	headerContentType        = newHeader("Content-Type")
	headerContentLength      = newHeader("Content-Length")
	headerUserAgent          = newHeader("User-Agent")
	headerAPIKey             = newHeader(HeaderAPIKey)
	headerAuthorization      = newHeader(HeaderAuthorization)
	headerOrgID              = newHeader(HeaderOrgID)
	headerSDKVersion         = newHeader(HeaderSDKVersion)
	headerConsistency        = newHeader(HeaderConsistency)
	headerConsistencyTimeout = newHeader(HeaderConsistencyTimeout)

	headerCorrelationID    = newHeader(HeaderCorrelationID)
	headerRetryAfter       = newHeader("Retry-After")
	headerConnection       = newHeader("Connection")
	headerTransferEncoding = newHeader("Transfer-Encoding")
)

// A header's value is one of its kind, or one of many.
const (
	repeated = false // HTTP/2 remembers it, to say it shorter the next time
	singular = true  // HTTP/2 neither does that nor lets a proxy do it (RFC 7541 section 7.1.3)
)

// headers are those of the request, but for what names the endpoint. Absent ones are
// left out.
func (r *Request) headers(bodyLength int, yield func(name header, value string, singular bool)) {
	yield(headerAccept, "application/json", repeated)
	yield(headerContentType, "application/json", repeated)
	yield(headerContentLength, strconv.Itoa(bodyLength), singular)
	yield(headerUserAgent, "quash", repeated)
	yield(headerConsistency, string(r.Consistency), repeated)
	yield(headerConsistencyTimeout, strconv.FormatInt(int64(r.Timeout/time.Second), 10), repeated)
	optional := func(name header, value string) {
		if value != "" {
			yield(name, value, singular)
		}
	}
	optional(headerSDKVersion, r.SDKVersion)
	optional(headerAPIKey, r.Credentials.APIKey.Reveal())
	optional(headerAuthorization, r.Credentials.Authorization.Reveal())
	optional(headerOrgID, r.Credentials.OrgID)
}

// impossible is the name of a header whose value HTTP cannot hold; empty without any.
func (r *Request) impossible() (name string) {
	r.headers(0, func(h header, value string, _ bool) {
		if !httpguts.ValidHeaderFieldValue(value) {
			name = h.canonical
		}
	})
	return name
}

// appendBody appends the request's body.
func (r *Request) appendBody(b []byte) []byte {
	token := r.Token.Reveal()
	b = append(b, `{"token":`...)
	if isPlain(token) {
		b = append(b, '"')
		b = append(b, token...)
		b = append(b, '"')
	} else {
		quoted, _ := json.Marshal(token) //nolint:errchkjson // a string is always possible
		b = append(b, quoted...)
	}
	return append(b, '}')
}

// isPlain reports whether text stands for itself in JSON, as a JWT does.
func isPlain(text string) bool {
	for i := range len(text) {
		if c := text[i]; c < ' ' || c > '~' || c == '"' || c == '\\' {
			return false
		}
	}
	return true
}

package server

import (
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/rs/cors"

	"github.com/quashdev/quash/service/slashid"
)

// preflightAge is how long a browser may cache a preflight. No browser caches it for longer
// than two hours.
const preflightAge = 2 * time.Hour

// corsHeaders are the request headers that a page may send: those that quash reads, and
// Tracestate, which tracing libraries send with Traceparent.
var corsHeaders = append([]string{"Content-Type", "Tracestate"}, forwardedHeaders...)

// corsExposed are the response headers that a page may read, in addition to the headers that
// CORS always exposes.
var corsExposed = []string{slashid.HeaderCorrelationID, "Retry-After", headerReason, headerState}

// withCORS allows pages of the given origins to call h from a browser. It answers preflights
// itself: they have no caller and no body. It does not allow credentials in the sense of
// CORS, because pages send their credentials in headers and never in cookies.
//
// All responses of h get the CORS headers, errors included, so that the page can read them.
func withCORS(origins []string, h http.HandlerFunc) http.HandlerFunc {
	if len(origins) == 0 {
		// With an empty list, the library would allow every origin.
		return h
	}
	allowed := cors.New(cors.Options{
		AllowedOrigins: origins,
		AllowedMethods: []string{http.MethodPost},
		AllowedHeaders: corsHeaders,
		ExposedHeaders: corsExposed,
		MaxAge:         int(preflightAge.Seconds()),
	}).Handler(h)
	return func(w http.ResponseWriter, r *http.Request) {
		for _, name := range []string{"Origin", "Access-Control-Request-Method"} {
			if len(r.Header[name]) > 1 {
				// Browsers send one. The library would echo the second.
				h(w, r)
				return
			}
		}
		allowed.ServeHTTP(w, r)
	}
}

// CheckOrigin returns an error unless text is an origin in exactly the form that browsers
// send.
func CheckOrigin(text string) error {
	u, err := url.Parse(text)
	switch {
	case text == "*" || text == "null":
		return errors.New("it would allow pages of unknown origin")
	case err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "":
		return errors.New("it must have http:// or https:// and a host")
	case strings.Contains(text, "*"):
		return errors.New("it must name one host")
	case strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r > '~' || 'A' <= r && r <= 'Z' }):
		return errors.New("browsers send it in lower case and in ASCII")
	case u.Scheme+"://"+u.Host != text:
		return errors.New("it must be a scheme, a host and an optional port, and nothing else")
	case u.Scheme == "http" && u.Port() == "80" || u.Scheme == "https" && u.Port() == "443", strings.HasSuffix(u.Host, ":"):
		return errors.New("browsers send it without the default port")
	}
	return nil
}

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

// preflightAge is how long a browser need not ask again. None of them waits longer
// than two hours.
const preflightAge = 2 * time.Hour

// corsHeaders are the request headers that a page may send: those that mean something
// here, and the rest of W3C's trace context, which pages send along with it.
var corsHeaders = append([]string{"Content-Type", "Tracestate"}, forwardedHeaders...)

// corsExposed are the response headers that a page may read, beyond those that it may
// always.
var corsExposed = []string{slashid.HeaderCorrelationID, "Retry-After", headerReason, headerState}

// withCORS lets pages of the given origins call h from a browser. Preflights end here:
// they name no caller and carry no body, and are answered from a few constants. A
// page's credentials are headers that it sets itself, never a cookie, so browsers are
// not asked to send any.
//
// Whatever h answers has the headers without which the page could not read it,
// refusals included.
func withCORS(origins []string, h http.HandlerFunc) http.HandlerFunc {
	if len(origins) == 0 {
		// Without any, the library would let everyone in.
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
				// No browser does that, and the library would repeat the second.
				h(w, r)
				return
			}
		}
		allowed.ServeHTTP(w, r)
	}
}

// CheckOrigin says what keeps text from being the origin of a page, in the one form in
// which browsers send it.
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
		return errors.New("browsers omit the default port; remove it")
	}
	return nil
}

package sandbox

import (
	"net/http"
	"slices"
	"strings"
)

func (s *Sandbox) newRoutes() *http.ServeMux {
	mux := http.NewServeMux()
	mux.Handle("/token/revoke", methods{http.MethodPost: s.handleRevoke})
	mux.Handle("/token/validate", methods{http.MethodPost: s.handleValidate})
	mux.Handle("/persons/{person_id}/mint-token", methods{http.MethodPost: s.handleMint})
	mux.Handle("/.well-known/jwks.json", methods{http.MethodGet: s.handleJWKS})

	mux.Handle("/_sandbox/regions", methods{http.MethodGet: s.handleRegions})
	mux.Handle("/_sandbox/regions/{name}", methods{http.MethodPut: s.handleSetRegion})
	mux.Handle("/_sandbox/faults", methods{
		http.MethodGet:    s.handleFaults,
		http.MethodPost:   s.handleScript,
		http.MethodDelete: s.handleClearFaults,
	})
	mux.Handle("/_sandbox/revocations", methods{http.MethodGet: s.handleRevocations})
	mux.Handle("/_sandbox/tokens", methods{http.MethodPost: s.handleTokens})

	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) { writeError(w, errUnknownPath) })
	return mux
}

// methods is one path's handlers by method. ServeMux knows methods too, but its
// own 405 has no envelope.
type methods map[string]http.HandlerFunc

func (m methods) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	method := r.Method
	if method == http.MethodHead {
		method = http.MethodGet
	}
	handle, ok := m[method]
	if !ok {
		w.Header().Set("Allow", m.allow())
		writeError(w, errWrongMethod)
		return
	}
	handle(w, r)
}

func (m methods) allow() string {
	var names []string
	for name := range m {
		names = append(names, name)
		if name == http.MethodGet {
			names = append(names, http.MethodHead)
		}
	}
	slices.Sort(names)
	return strings.Join(names, ", ")
}

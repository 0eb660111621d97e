package sandbox

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"path"

	"github.com/google/uuid"
)

const correlationIDHeader = "slashid-correlation-id"

// maxBody is the maximum size of a request body, in bytes.
const maxBody = 64 << 10

// A refusal is an error answer. Its message never quotes a token, because clients may log
// what they receive.
type refusal struct {
	status  int
	message string
}

func (e *refusal) Error() string { return e.message }

func badRequest(message string) error { return &refusal{http.StatusBadRequest, message} }

var (
	errNoEndpoint     = &refusal{http.StatusNotFound, "no such endpoint, or the method is not allowed"}
	errBodyTooLarge   = badRequest("the body is over 64 KiB")
	errBodyUnreadable = badRequest("the body could not be read")
	errBodyNotJSON    = badRequest("the body is not the expected JSON object")
)

// handler is one endpoint. It writes nothing before it returns an error.
type handler func(w http.ResponseWriter, r *http.Request) error

// ServeHTTP implements http.Handler.
func (h handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if err := h(w, r); err != nil {
		writeError(w, err)
	}
}

func (s *Sandbox) newRoutes() *http.ServeMux {
	mux := http.NewServeMux()
	for pattern, h := range map[string]handler{
		"POST /token/revoke":                   s.handleRevoke,
		"POST /token/validate":                 s.handleValidate,
		"POST /persons/{person_id}/mint-token": s.handleMint,
		"GET /.well-known/jwks.json":           s.handleJWKS,

		"GET /_sandbox/regions":        s.handleRegions,
		"PUT /_sandbox/regions/{name}": s.handleSetRegion,
		"GET /_sandbox/faults":         s.handleFaults,
		"POST /_sandbox/faults":        s.handleScript,
		"DELETE /_sandbox/faults":      s.handleClearFaults,
		"GET /_sandbox/revocations":    s.handleRevocations,
		"POST /_sandbox/tokens":        s.handleTokens,

		"/": func(http.ResponseWriter, *http.Request) error { return errNoEndpoint },
	} {
		mux.Handle(pattern, h)
	}
	return mux
}

// ServeHTTP answers one call. Every answer has a slashid-correlation-id header, and every
// error answer has SlashID's envelope as its body.
func (s *Sandbox) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set(correlationIDHeader, uuid.NewString())
	switch {
	case isClosed(s.closed):
		writeError(w, ErrClosed)
	case path.Clean(r.URL.Path) != r.URL.Path:
		// ServeMux would redirect, with a body that is not the envelope.
		writeError(w, errNoEndpoint)
	default:
		s.routes.ServeHTTP(w, r)
	}
}

// readBody reads the body of r to its end: only then does net/http notice when the client
// disconnects.
func readBody(r *http.Request) ([]byte, error) {
	body, err := io.ReadAll(io.LimitReader(r.Body, maxBody+1))
	if err != nil {
		return nil, errBodyUnreadable
	}
	if len(body) > maxBody {
		return nil, errBodyTooLarge
	}
	return body, nil
}

// decodeJSON decodes body, which may hold a token, into v. The error therefore quotes
// nothing. Unknown members are accepted: SlashID does not document that it rejects them.
func decodeJSON(body []byte, v any) error {
	if err := decode(json.NewDecoder(bytes.NewReader(body)), v); err != nil {
		return errBodyNotJSON
	}
	return nil
}

// decodeToken reads the body {"token": "…"} of the /token endpoints.
func decodeToken(body []byte) (string, error) {
	var request struct {
		Token string `json:"token"`
	}
	if err := decodeJSON(body, &request); err != nil {
		return "", err
	}
	if request.Token == "" {
		return "", errTokenMissing
	}
	return request.Token, nil
}

// decodeControl decodes body, which holds no secret, into v. It rejects unknown members,
// and the error names the problem.
func decodeControl(body []byte, v any) error {
	dec := json.NewDecoder(bytes.NewReader(body))
	dec.DisallowUnknownFields()
	if err := decode(dec, v); err != nil {
		return badRequest("the body is not the expected JSON: " + err.Error())
	}
	return nil
}

// decode reads one JSON value and rejects anything that follows it.
func decode(dec *json.Decoder, v any) error {
	if err := dec.Decode(v); err != nil {
		return err
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return errors.New("unexpected data after the JSON value")
	}
	return nil
}

// envelope is the body of SlashID's error answers.
type envelope struct {
	Meta struct {
		Pagination struct {
			Limit      int `json:"limit"`
			Offset     int `json:"offset"`
			TotalCount int `json:"total_count"`
		} `json:"pagination"`
	} `json:"meta"`
	Errors []envelopeError `json:"errors"`
}

type envelopeError struct {
	HTTPCode int    `json:"httpcode"`
	Message  string `json:"message"`
}

// writeError answers with the envelope: with the status of a refusal, 503 for [ErrClosed],
// or 500 for any other error.
func writeError(w http.ResponseWriter, err error) {
	e, ok := errors.AsType[*refusal](err)
	switch {
	case ok:
	case errors.Is(err, ErrClosed):
		e = &refusal{http.StatusServiceUnavailable, "the sandbox is closed"}
	default:
		e = &refusal{http.StatusInternalServerError, "internal error"}
	}
	_ = writeJSON(w, e.status, envelope{Errors: []envelopeError{{HTTPCode: e.status, Message: e.message}}})
}

// writeResult answers with v in SlashID's result object.
func writeResult(w http.ResponseWriter, status int, v any) error {
	return writeJSON(w, status, map[string]any{"result": v})
}

// writeJSON always returns nil: a write fails only when the client has disconnected.
func writeJSON(w http.ResponseWriter, status int, v any) error {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v) //nolint:errchkjson // see above
	return nil
}

package sandbox

import (
	"encoding/json"
	"errors"
	"net/http"
)

const correlationIDHeader = "slashid-correlation-id"

// A refusal is an error for the caller of an endpoint. Its message never quotes
// a token: what is sent may be logged.
type refusal struct {
	status  int
	message string
}

func (e *refusal) Error() string { return e.message }

func badRequest(message string) error {
	return &refusal{http.StatusBadRequest, message}
}

var (
	errUnknownPath = &refusal{http.StatusNotFound, "no such endpoint"}
	errWrongMethod = &refusal{http.StatusMethodNotAllowed, "method not allowed"}
)

// envelope is the shape of SlashID's error answers.
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

// writeError answers with the envelope: a refusal's own status, 503 for
// [ErrClosed], else 500.
func writeError(w http.ResponseWriter, err error) {
	e, ok := errors.AsType[*refusal](err)
	switch {
	case ok:
	case errors.Is(err, ErrClosed):
		e = &refusal{http.StatusServiceUnavailable, "the sandbox is closed"}
	default:
		e = &refusal{http.StatusInternalServerError, "internal error"}
	}
	writeJSON(w, e.status, envelope{Errors: []envelopeError{{HTTPCode: e.status, Message: e.message}}})
}

// writeResult answers with v as SlashID wraps it.
func writeResult(w http.ResponseWriter, status int, v any) {
	writeJSON(w, status, struct {
		Result any `json:"result"`
	}{v})
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	// A failure to write means that the caller has gone.
	_ = json.NewEncoder(w).Encode(v) //nolint:errchkjson // see above
}

package sandbox

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
)

// maxBody is the most that an endpoint reads, in bytes.
const maxBody = 64 << 10

var (
	errBodyTooLarge   = &refusal{http.StatusBadRequest, "the body is over 64 KiB"}
	errBodyUnreadable = &refusal{http.StatusBadRequest, "the body could not be read"}
	errBodyNotJSON    = &refusal{http.StatusBadRequest, "the body is not the expected JSON object"}
)

// readBody reads the whole body of r, up to its end: only then does net/http
// watch for the client's disconnect.
func readBody(r *http.Request) ([]byte, error) {
	if r.Body == nil {
		return nil, nil
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, maxBody+1))
	if err != nil {
		return nil, errBodyUnreadable
	}
	if len(body) > maxBody {
		return nil, errBodyTooLarge
	}
	return body, nil
}

// decodeJSON decodes body, which may hold a token, into the struct v. Unknown
// members are let through, as SlashID does not document that it refuses them. The
// error quotes nothing.
func decodeJSON(body []byte, v any) error {
	dec := json.NewDecoder(bytes.NewReader(body))
	dec.UseNumber() // a claim of 2^53+1 must come out as it went in
	if err := dec.Decode(v); err != nil {
		return errBodyNotJSON
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return errBodyNotJSON
	}
	return nil
}

// decodeControl decodes body, which holds no secret, into v. Unknown members are
// errors, and the error says what is wrong.
func decodeControl(body []byte, v any) error {
	dec := json.NewDecoder(bytes.NewReader(body))
	dec.DisallowUnknownFields()
	err := dec.Decode(v)
	if wrong, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		return badRequest(fmt.Sprintf("%s cannot be a JSON %s", cmp.Or(wrong.Field, "the body"), wrong.Value))
	}
	switch {
	case errors.Is(err, io.EOF):
		return badRequest("the body is empty")
	case err != nil:
		return badRequest("the body is not the expected JSON: " + err.Error())
	case string(bytes.TrimSpace(body)) == "null":
		return badRequest("the body cannot be a JSON null")
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return badRequest("the body goes on after its JSON value")
	}
	return nil
}

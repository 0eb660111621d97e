package server_test

import (
	"bytes"
	"cmp"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
)

// openAPI is the document as others read it.
var openAPI = sync.OnceValues(func() (*openapi3.T, error) {
	data, err := os.ReadFile("openapi.json")
	if err != nil {
		return nil, err
	}
	return openapi3.NewLoader().LoadFromData(data)
})

func readOpenAPI(t *testing.T) *openapi3.T {
	t.Helper()
	document, err := openAPI()
	if err != nil {
		t.Fatal(err)
	}
	return document
}

func TestOpenAPIIsValid(t *testing.T) {
	t.Parallel()
	document := readOpenAPI(t)
	if err := document.Validate(t.Context(), openapi3.EnableExamplesValidation()); err != nil {
		t.Error(err)
	}
	if document.OpenAPI != "3.1.0" || len(document.Servers) != 1 || document.Servers[0].URL != "/" {
		t.Errorf("OpenAPI %s, served from %v", document.OpenAPI, document.Servers)
	}
}

// checkAnswer holds an answer against the document: its status, its headers, its body,
// and that the reason it gives is among those that the document has for the status.
// Every test that calls a door through facade.do calls it.
func checkAnswer(t *testing.T, req *http.Request, resp *http.Response, body []byte) {
	t.Helper()
	if err := disagreement(t, req, resp, body); err != nil {
		t.Errorf("openapi.json does not describe this answer with status %d: %v\n%s", resp.StatusCode, err, body)
	}
}

func disagreement(t *testing.T, req *http.Request, resp *http.Response, body []byte) error {
	t.Helper()
	document := readOpenAPI(t)
	path := document.Paths.Value(req.URL.Path)
	if path == nil || req.Method != http.MethodPost {
		return nil
	}
	err := openapi3filter.ValidateResponse(t.Context(), &openapi3filter.ResponseValidationInput{
		RequestValidationInput: &openapi3filter.RequestValidationInput{
			Request: req,
			Route:   &routers.Route{Spec: document, Path: req.URL.Path, PathItem: path, Method: req.Method, Operation: path.Post},
		},
		Status:  resp.StatusCode,
		Header:  resp.Header,
		Body:    io.NopCloser(bytes.NewReader(body)),
		Options: &openapi3filter.Options{IncludeResponseStatus: true},
	})
	if err != nil || resp.StatusCode < http.StatusBadRequest || resp.StatusCode == http.StatusRequestHeaderFieldsTooLarge {
		return err
	}
	return namedExample(path.Post.Responses.Status(resp.StatusCode).Value, resp, body)
}

// unnamedError is an answer whose reason the document does not have for its status.
type unnamedError struct{ name string }

func (e *unnamedError) Error() string { return "there is no example of " + e.name }

func namedExample(described *openapi3.Response, resp *http.Response, body []byte) error {
	reason, state := resp.Header.Get("Quash-Error-Reason"), resp.Header.Get("Quash-Revocation-State")
	var st struct {
		Details []struct {
			Reason string `json:"reason"`
			State  string `json:"state"`
		} `json:"details"`
	}
	if err := json.Unmarshal(body, &st); err != nil {
		return err
	}
	for _, d := range st.Details {
		reason = cmp.Or(d.Reason, reason)
		state = cmp.Or(strings.TrimPrefix(d.State, "REVOCATION_STATE_"), state)
	}
	// The state is that of the whole call: earlier attempts decide between these two.
	states := []string{state}
	if state != "IN_PROGRESS" {
		states = []string{"NOT_APPLIED", "UNKNOWN"}
	}
	examples := described.Content.Get("application/json").Examples
	if slices.ContainsFunc(states, func(s string) bool { return examples[reason+"-"+s] != nil }) {
		return nil
	}
	return &unnamedError{reason + ", " + state}
}

// What the test is made of finds what is wrong.
func TestAnswersThatDisagree(t *testing.T) {
	t.Parallel()
	const failure = `{"@type":"type.googleapis.com/quash.v1.RevokeFailure","state":"REVOCATION_STATE_NOT_APPLIED"}`
	answer := func(reason, failure string) string {
		return `{"code":3,"message":"m","details":[{"@type":"type.googleapis.com/google.rpc.ErrorInfo","reason":"` + reason + `","domain":"quash"},` + failure + `]}`
	}
	for name, tt := range map[string]struct {
		path   string
		status int
		body   string
		agrees bool
	}{
		"as it is":             {path: nativePath, status: 400, body: answer("TOKEN_REJECTED", failure), agrees: true},
		"another status":       {path: nativePath, status: 418, body: answer("TOKEN_REJECTED", failure)},
		"another status's":     {path: nativePath, status: 400, body: answer("OVERLOADED", failure)},
		"a reason of its own":  {path: nativePath, status: 400, body: answer("BECAUSE", failure)},
		"a state of its own":   {path: nativePath, status: 400, body: answer("TOKEN_REJECTED", strings.Replace(failure, "NOT_APPLIED", "DEAD", 1))},
		"no state":             {path: nativePath, status: 400, body: answer("TOKEN_REJECTED", `{"@type":"type.googleapis.com/quash.v1.RevokeFailure"}`)},
		"an unknown detail":    {path: nativePath, status: 400, body: answer("TOKEN_REJECTED", `{"@type":"type.googleapis.com/google.rpc.Help"}`)},
		"the other's form":     {path: dropInPath, status: 400, body: answer("TOKEN_REJECTED", failure)},
		"no header":            {path: dropInPath, status: 400, body: slashIDEnvelope(t, 400, []string{"m"})},
		"a success with words": {path: nativePath, status: 200, body: `{"outcome":"OUTCOME_GUESSED"}`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://quash"+tt.path, nil)
			if err != nil {
				t.Fatal(err)
			}
			header := http.Header{"Content-Type": {"application/json"}}
			err = disagreement(t, req, &http.Response{StatusCode: tt.status, Header: header}, []byte(tt.body))
			if (err == nil) != tt.agrees {
				t.Errorf("%v", err)
			}
		})
	}
}

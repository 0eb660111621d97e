package sandbox

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
)

func TestErrorAnswers(t *testing.T) {
	t.Parallel()
	const body = `{"meta":{"pagination":{"limit":0,"offset":0,"total_count":0}},"errors":[{"httpcode":%d,"message":"%s"}]}` + "\n"
	for _, tt := range []struct {
		err     error
		status  int
		message string
	}{
		{badRequest("wrong"), http.StatusBadRequest, "wrong"},
		{fmt.Errorf("reading: %w", badRequest("wrong")), http.StatusBadRequest, "wrong"},
		{fmt.Errorf("waiting: %w", ErrClosed), http.StatusServiceUnavailable, "the sandbox is closed"},
		{errors.New("a secret cause"), http.StatusInternalServerError, "internal error"},
	} {
		w := httptest.NewRecorder()
		writeError(w, tt.err)
		if want := fmt.Sprintf(body, tt.status, tt.message); w.Code != tt.status || w.Body.String() != want {
			t.Errorf("%v: %d %s, want %d %s", tt.err, w.Code, w.Body, tt.status, want)
		}
	}
}

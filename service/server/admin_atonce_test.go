package server

import (
	"net/http"
	"net/http/httptest"
	"testing"
)

// Who asks for more profiles than there is room for is told so at once, until one is
// done.
func TestAtOnce(t *testing.T) {
	t.Parallel()
	begun, free := make(chan struct{}), make(chan struct{})
	h := make(atOnce, 2).serve(func(http.ResponseWriter, *http.Request) {
		begun <- struct{}{}
		<-free
	})
	ask := func() int {
		w := httptest.NewRecorder()
		h(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil))
		return w.Code
	}
	answers := make(chan int)
	for range 2 {
		go func() { answers <- ask() }()
		<-begun
	}
	if got := ask(); got != http.StatusTooManyRequests {
		t.Errorf("the third: %d", got)
	}
	free <- struct{}{}
	if got := <-answers; got != http.StatusOK {
		t.Errorf("the one that is done: %d", got)
	}
	go func() { answers <- ask() }()
	<-begun
	close(free)
	for range 2 {
		if got := <-answers; got != http.StatusOK {
			t.Errorf("once there is room: %d", got)
		}
	}
}

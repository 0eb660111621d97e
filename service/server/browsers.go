package server

import "net/http"

// letBrowserGo makes an answer the last on its connection of HTTP/1.1, for a
// browser may be at its other end.
//
// Browsers keep the right to take a 408 on a connection that they have used before for
// a complaint about their idleness, and Chromium does: it sends the request a second
// time by itself. That one is told that the token is dead already, and the page never
// sees the 408 which says that the revocation goes on.
func letBrowserGo(w http.ResponseWriter, r *http.Request) {
	if r.ProtoMajor == 1 {
		w.Header().Set("Connection", "close")
	}
}

package sandbox

import (
	"bufio"
	"context"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"
)

const maxTokens = 1_000_000

// handleTokens serves POST /_sandbox/tokens?count=1&container=false&lifetime=24h:
// text, one token a line, streamed. A negative lifetime makes expired tokens.
func (s *Sandbox) handleTokens(w http.ResponseWriter, r *http.Request) {
	count, opts, err := parseTokensQuery(r)
	if err != nil {
		writeError(w, err)
		return
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	if err := s.writeTokens(r.Context(), w, count, opts); err != nil {
		// The status is sent: only a broken connection can still say that the list
		// is not whole.
		panic(http.ErrAbortHandler)
	}
}

func (s *Sandbox) writeTokens(ctx context.Context, w io.Writer, count int, opts MintOptions) error {
	out := bufio.NewWriter(w)
	for range count {
		if isClosed(s.closed) {
			return ErrClosed
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		token, err := s.Mint(opts)
		if err != nil {
			return err
		}
		if _, err := out.WriteString(token + "\n"); err != nil {
			return err
		}
	}
	return out.Flush()
}

func parseTokensQuery(r *http.Request) (count int, opts MintOptions, err error) {
	query, err := parseQuery(r, "count", "container", "lifetime")
	if err != nil {
		return 0, opts, err
	}
	count = 1
	if v := query.Get("count"); v != "" {
		count, err = strconv.Atoi(v)
		if err != nil || count < 1 || count > maxTokens {
			return 0, opts, badRequest("count must be an integer from 1 to 1000000")
		}
	}
	if v := query.Get("container"); v != "" {
		opts.Container, err = strconv.ParseBool(v)
		if err != nil {
			return 0, opts, badRequest("container must be true or false")
		}
	}
	if v := query.Get("lifetime"); v != "" {
		opts.Lifetime, err = time.ParseDuration(v)
		if err != nil || opts.Lifetime == 0 {
			return 0, opts, badRequest("lifetime must be a duration other than 0, such as 1h or -1s")
		}
	}
	return count, opts, nil
}

// parseQuery refuses parameters it does not know: a typing error would be taken
// for the default.
func parseQuery(r *http.Request, known ...string) (url.Values, error) {
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, badRequest("the query is malformed")
	}
	for name, values := range query {
		if !slices.Contains(known, name) {
			return nil, badRequest("unknown query parameter " + strconv.Quote(name))
		}
		if len(values) > 1 {
			return nil, badRequest("query parameter " + name + " is given twice")
		}
	}
	return query, nil
}

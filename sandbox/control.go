package sandbox

import (
	"bufio"
	"bytes"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"
)

// duration is a time.Duration that is a string in JSON: "1m30s".
type duration time.Duration

// MarshalText implements encoding.TextMarshaler.
func (d duration) MarshalText() ([]byte, error) { return []byte(time.Duration(d).String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (d *duration) UnmarshalText(text []byte) error {
	parsed, err := time.ParseDuration(string(text))
	*d = duration(parsed)
	return err
}

// regionJSON is the JSON form of a [Region].
type regionJSON struct {
	Name        string   `json:"name"`
	Lag         duration `json:"lag"`
	Partitioned bool     `json:"partitioned"`
	Local       bool     `json:"local"`
}

func newRegionJSON(r Region) regionJSON {
	return regionJSON{Name: r.Name, Lag: duration(r.Lag), Partitioned: r.Partitioned, Local: r.Local}
}

// handleRegions serves GET /_sandbox/regions: an array, the local region first.
func (s *Sandbox) handleRegions(w http.ResponseWriter, _ *http.Request) error {
	all := s.Regions()
	regions := make([]regionJSON, len(all))
	for i, r := range all {
		regions[i] = newRegionJSON(r)
	}
	return writeJSON(w, http.StatusOK, regions)
}

// handleSetRegion serves PUT /_sandbox/regions/{name}: settings whose members are absent do
// not change. The answer is the region after the change.
func (s *Sandbox) handleSetRegion(w http.ResponseWriter, r *http.Request) error {
	body, err := readBody(r)
	if err != nil {
		return err
	}
	var request struct {
		Lag         *duration `json:"lag"`
		Partitioned *bool     `json:"partitioned"`
	}
	if err := decodeControl(body, &request); err != nil {
		return err
	}
	if request.Lag != nil && *request.Lag < 0 {
		return badRequest("the lag is negative")
	}
	region, err := s.ledger.set(r.PathValue("name"), (*time.Duration)(request.Lag), request.Partitioned)
	if errors.Is(err, ErrUnknownRegion) {
		return &refusal{http.StatusNotFound, "no such region"}
	}
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, newRegionJSON(region))
}

// faultJSON is the JSON form of a [Fault].
type faultJSON struct {
	Count   int               `json:"count,omitempty"`
	Delay   duration          `json:"delay,omitzero"`
	Apply   bool              `json:"apply,omitempty"`
	Reset   bool              `json:"reset,omitempty"`
	Status  int               `json:"status,omitempty"`
	Headers map[string]string `json:"headers,omitempty"`
	Body    string            `json:"body,omitempty"`
}

// handleScript serves POST /_sandbox/faults: one fault, or an array. If one element is
// invalid, none is added. It answers 204.
func (s *Sandbox) handleScript(w http.ResponseWriter, r *http.Request) error {
	body, err := readBody(r)
	if err != nil {
		return err
	}
	if body = bytes.TrimSpace(body); bytes.HasPrefix(body, []byte("{")) {
		body = slices.Concat([]byte("["), body, []byte("]"))
	}
	var requests []faultJSON
	if err := decodeControl(body, &requests); err != nil {
		return err
	}
	var faults []Fault
	for _, f := range requests {
		faults = append(faults, Fault{f.Count, time.Duration(f.Delay), f.Apply, f.Reset, f.Status, f.Headers, f.Body})
	}
	if err := s.Script(faults...); err != nil {
		return badRequest(err.Error())
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// handleFaults serves GET /_sandbox/faults: an array of the remaining faults.
func (s *Sandbox) handleFaults(w http.ResponseWriter, _ *http.Request) error {
	all := s.Faults()
	left := make([]faultJSON, len(all))
	for i, f := range all {
		left[i] = faultJSON{f.Count, duration(f.Delay), f.Apply, f.Reset, f.Status, f.Headers, f.Body}
	}
	return writeJSON(w, http.StatusOK, left)
}

// handleClearFaults serves DELETE /_sandbox/faults.
func (s *Sandbox) handleClearFaults(w http.ResponseWriter, _ *http.Request) error {
	s.ClearFaults()
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// revocationJSON is one revocation. RevokedAt has an entry for every region, by name: null
// for a region that has not applied the revocation.
type revocationJSON struct {
	JTI       string                `json:"jti"`
	ExpiresAt time.Time             `json:"expires_at"`
	RevokedAt map[string]*time.Time `json:"revoked_at"`
}

// handleRevocations serves GET /_sandbox/revocations: an array, oldest acceptance first.
// ?jti= selects one; a container is listed under the jti of the user token inside it.
// Expired tokens may be missing.
func (s *Sandbox) handleRevocations(w http.ResponseWriter, r *http.Request) error {
	query, err := parseQuery(r, "jti")
	if err != nil {
		return err
	}
	all := s.ledger.accepted()
	if query.Has("jti") {
		all = slices.DeleteFunc(all, func(r revocationJSON) bool { return r.JTI != query.Get("jti") })
	}
	return writeJSON(w, http.StatusOK, all)
}

const maxTokens = 1_000_000

// handleTokens serves POST /_sandbox/tokens?count=1&container=false&lifetime=24h: streamed
// text, one token per line. A negative lifetime mints expired tokens.
func (s *Sandbox) handleTokens(w http.ResponseWriter, r *http.Request) error {
	count, opts, err := parseTokensQuery(r)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	out := bufio.NewWriter(w)
	for range count {
		token, err := s.Mint(opts)
		if err != nil || r.Context().Err() != nil || isClosed(s.closed) {
			// The status is sent. Only a broken connection can still show the client
			// that the list is incomplete.
			panic(http.ErrAbortHandler)
		}
		_, _ = out.WriteString(token + "\n")
	}
	_ = out.Flush()
	return nil
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

// parseQuery rejects unknown parameters: a misspelled one would silently mean the default.
func parseQuery(r *http.Request, known ...string) (url.Values, error) {
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, badRequest("the query is malformed")
	}
	for name, values := range query {
		if !slices.Contains(known, name) || len(values) > 1 {
			return nil, badRequest("query parameter " + strconv.Quote(name) + " is unknown, or given twice")
		}
	}
	return query, nil
}

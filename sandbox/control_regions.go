package sandbox

import (
	"errors"
	"net/http"
	"time"
)

// duration is a time.Duration that JSON writes as Go does: "1m30s".
type duration time.Duration

func (d duration) MarshalText() ([]byte, error) { return []byte(time.Duration(d).String()), nil }

func (d *duration) UnmarshalText(text []byte) error {
	parsed, err := time.ParseDuration(string(text))
	*d = duration(parsed)
	return err
}

// regionJSON is a [Region] on the wire.
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
func (s *Sandbox) handleRegions(w http.ResponseWriter, _ *http.Request) {
	all := s.Regions()
	regions := make([]regionJSON, len(all))
	for i, r := range all {
		regions[i] = newRegionJSON(r)
	}
	writeJSON(w, http.StatusOK, regions)
}

// handleSetRegion serves PUT /_sandbox/regions/{name}: members that are absent
// stay as they are, and the answer is the region as it is now.
func (s *Sandbox) handleSetRegion(w http.ResponseWriter, r *http.Request) {
	body, err := readBody(r)
	if err != nil {
		writeError(w, err)
		return
	}
	var request struct {
		Lag         *duration `json:"lag"`
		Partitioned *bool     `json:"partitioned"`
	}
	if err := decodeControl(body, &request); err != nil {
		writeError(w, err)
		return
	}
	if request.Lag != nil && *request.Lag < 0 {
		writeError(w, badRequest("the lag is negative"))
		return
	}
	region, err := s.ledger.set(r.PathValue("name"), (*time.Duration)(request.Lag), request.Partitioned)
	if errors.Is(err, ErrUnknownRegion) {
		err = &refusal{http.StatusNotFound, "no such region"}
	}
	if err != nil {
		writeError(w, err)
		return
	}
	writeJSON(w, http.StatusOK, newRegionJSON(region))
}

package sandbox

import (
	"net/http"
	"slices"
	"strconv"
	"time"
)

const (
	consistencyHeader        = "SlashID-Required-Consistency"
	consistencyTimeoutHeader = "SlashID-Required-Consistency-Timeout"

	localRegion = "local_region"
	allRegions  = "all_regions"

	defaultTimeout = 30 * time.Second
	maxTimeout     = 120 // seconds
)

var (
	errConsistency        = &refusal{http.StatusBadRequest, consistencyHeader + " must be local_region or all_regions, and must not contradict itself"}
	errConsistencyTimeout = &refusal{http.StatusBadRequest, consistencyTimeoutHeader + " must be an integer from 1 to 120, and must not contradict itself"}
)

// consistency is what a caller waits for, and for how long.
type consistency struct {
	level   string // localRegion or allRegions
	timeout time.Duration
}

func parseConsistency(h http.Header) (consistency, error) {
	want := consistency{level: localRegion, timeout: defaultTimeout}
	if values := h.Values(consistencyHeader); len(values) > 0 {
		want.level = values[0]
		if !agree(values) || want.level != localRegion && want.level != allRegions {
			return want, errConsistency
		}
	}
	if values := h.Values(consistencyTimeoutHeader); len(values) > 0 {
		seconds, err := strconv.ParseUint(values[0], 10, 8)
		if !agree(values) || err != nil || seconds < 1 || seconds > maxTimeout {
			return want, errConsistencyTimeout
		}
		want.timeout = time.Duration(seconds) * time.Second
	}
	return want, nil
}

// agree reports whether a header that was sent several times says one thing.
func agree(values []string) bool {
	return !slices.ContainsFunc(values, func(v string) bool { return v != values[0] })
}

// reached returns the channel that is closed once e is at the level.
func (c consistency) reached(e *entry) <-chan struct{} {
	if c.level == allRegions {
		return e.everywhere
	}
	return e.locally
}

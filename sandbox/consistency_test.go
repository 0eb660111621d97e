package sandbox

import (
	"errors"
	"net/http"
	"testing"
	"time"
)

func TestParseConsistency(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name            string
		levels, timeout []string
		want            consistency
		err             error
	}{
		{"nothing", nil, nil, consistency{localRegion, 30 * time.Second}, nil},
		{"both", []string{"all_regions"}, []string{"120"}, consistency{allRegions, 2 * time.Minute}, nil},
		{"the shortest", []string{"local_region"}, []string{"1"}, consistency{localRegion, time.Second}, nil},
		{"repeated", []string{"all_regions", "all_regions"}, []string{"5", "5"}, consistency{allRegions, 5 * time.Second}, nil},
		{name: "empty level", levels: []string{""}, err: errConsistency},
		{name: "other case", levels: []string{"ALL_REGIONS"}, err: errConsistency},
		{name: "two levels", levels: []string{"local_region", "all_regions"}, err: errConsistency},
		{name: "a list", levels: []string{"local_region, local_region"}, err: errConsistency},
		{name: "empty timeout", timeout: []string{""}, err: errConsistencyTimeout},
		{name: "too short", timeout: []string{"0"}, err: errConsistencyTimeout},
		{name: "too long", timeout: []string{"121"}, err: errConsistencyTimeout},
		{name: "far too long", timeout: []string{"99999999999999999999"}, err: errConsistencyTimeout},
		{name: "negative", timeout: []string{"-1"}, err: errConsistencyTimeout},
		{name: "a fraction", timeout: []string{"1.5"}, err: errConsistencyTimeout},
		{name: "a unit", timeout: []string{"5s"}, err: errConsistencyTimeout},
		{name: "two timeouts", timeout: []string{"5", "6"}, err: errConsistencyTimeout},
	} {
		h := http.Header{}
		for _, v := range tt.levels {
			h.Add(consistencyHeader, v)
		}
		for _, v := range tt.timeout {
			h.Add(consistencyTimeoutHeader, v)
		}
		got, err := parseConsistency(h)
		if !errors.Is(err, tt.err) || tt.err == nil && got != tt.want {
			t.Errorf("%s: %+v, %v; want %+v, %v", tt.name, got, err, tt.want, tt.err)
		}
	}
}

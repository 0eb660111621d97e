package main

import (
	"bytes"
	"fmt"

	"google.golang.org/protobuf/encoding/protodelim"
	"google.golang.org/protobuf/types/known/durationpb"

	quashv1 "github.com/quashdev/quash/gen/quash/v1"
	"github.com/quashdev/quash/service"
)

const (
	local = quashv1.Consistency_CONSISTENCY_LOCAL_REGION
	all   = quashv1.Consistency_CONSISTENCY_ALL_REGIONS
)

// consistencies are what calls can be told to ask for, by turns.
var consistencies = map[string][]quashv1.Consistency{
	"local_region": {local},
	"all_regions":  {all},
	"mixed":        {local, all},
}

// consistency is what call i asks for.
func (p plan) consistency(i int) quashv1.Consistency {
	return p.consistencies[i%len(p.consistencies)]
}

// encode writes a request for each token, in the form that ghz reads from standard
// input: there no token is on a disk or a command line, and ghz's report, which repeats
// data that is JSON, has none.
func (p plan) encode(tokens []token) ([]byte, error) {
	var requests bytes.Buffer
	for i, t := range tokens {
		// As long as a call may wait at all: the lag is what decides.
		req := &quashv1.RevokeRequest{Token: t.text, Consistency: p.consistency(i), Timeout: durationpb.New(service.MaxTimeout)}
		if _, err := protodelim.MarshalTo(&requests, req); err != nil {
			return nil, fmt.Errorf("encode a request: %w", err)
		}
	}
	return requests.Bytes(), nil
}

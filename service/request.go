package service

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"buf.build/go/protovalidate"
	"google.golang.org/grpc/metadata"

	quashv1 "github.com/quashdev/quash/gen/quash/v1"
	"github.com/quashdev/quash/service/slashid"
)

// The metadata keys that carry SlashID's request headers: through the gateway,
// or from a gRPC caller that sets them itself.
const (
	MetadataConsistency        = "slashid-required-consistency"
	MetadataConsistencyTimeout = "slashid-required-consistency-timeout"
	MetadataSDKVersion         = "slashid-sdkversion"
)

// maxSDKVersion is the longest SDK version that is passed on, in bytes.
const maxSDKVersion = 64

// command is a request whose fields and headers agree and break no rule.
type command struct {
	token        slashid.Secret
	consistency  quashv1.Consistency // never unspecified
	timeout      time.Duration       // whole seconds; 0 when none was asked for
	allowInvalid bool
	sdkVersion   string
}

// readCommand makes one of a request and the metadata that came with it in ctx. It
// reports everything that is wrong with them, not the first thing.
func readCommand(ctx context.Context, validator protovalidate.Validator, req *quashv1.RevokeRequest) (command, []Violation) {
	violations := brokenRules(validator, req)
	cmd := command{
		token:        slashid.NewSecret(req.GetToken()),
		consistency:  req.GetConsistency(),
		timeout:      req.GetTimeout().AsDuration().Truncate(time.Second),
		allowInvalid: req.GetAllowInvalid(),
	}
	if level, set, bad := consistencyHeader(ctx); bad != nil {
		violations = append(violations, *bad)
	} else if set {
		cmd.consistency, bad = reconcile("consistency", MetadataConsistency, cmd.consistency, level)
		violations = appendIfBad(violations, bad)
	}
	if timeout, set, bad := timeoutHeader(ctx); bad != nil {
		violations = append(violations, *bad)
	} else if set {
		cmd.timeout, bad = reconcile("timeout", MetadataConsistencyTimeout, cmd.timeout, timeout)
		violations = appendIfBad(violations, bad)
	}
	sdkVersion, bad := sdkVersionHeader(ctx)
	violations = appendIfBad(violations, bad)
	cmd.sdkVersion = sdkVersion
	if cmd.consistency == quashv1.Consistency_CONSISTENCY_UNSPECIFIED {
		cmd.consistency = quashv1.Consistency_CONSISTENCY_LOCAL_REGION
	}
	return cmd, violations
}

func appendIfBad(violations []Violation, bad *Violation) []Violation {
	if bad == nil {
		return violations
	}
	return append(violations, *bad)
}

// brokenRules applies the rules that the proto states.
func brokenRules(validator protovalidate.Validator, req *quashv1.RevokeRequest) []Violation {
	if plainlyValid(req) {
		return nil
	}
	err := validator.Validate(req)
	if err == nil {
		return nil
	}
	var invalid *protovalidate.ValidationError
	if !errors.As(err, &invalid) {
		// The rules themselves could not be evaluated. Which of them does not
		// matter to a caller, and its text may hold the value.
		return []Violation{{Field: "body", Description: "the request could not be validated"}}
	}
	violations := make([]Violation, 0, len(invalid.Violations))
	for _, v := range invalid.Violations {
		violations = append(violations, Violation{
			Field:       protovalidate.FieldPathString(v.Proto.GetField()),
			Description: v.Proto.GetMessage(),
		})
	}
	return violations
}

// reconcile joins a field and the header of the same meaning. The zero value of
// either means that it is unset.
func reconcile[T comparable](field, header string, inField, inHeader T) (T, *Violation) {
	var unset T
	if inField != unset && inField != inHeader {
		return inField, &Violation{
			Field:       field,
			Description: fmt.Sprintf("must agree with the header %s, or only one of them be set", header),
		}
	}
	return inHeader, nil
}

func consistencyHeader(ctx context.Context) (level quashv1.Consistency, set bool, bad *Violation) {
	value, set, bad := singleValue(ctx, MetadataConsistency)
	if !set || bad != nil {
		return 0, false, bad
	}
	switch slashid.Consistency(value) {
	case slashid.LocalRegion:
		return quashv1.Consistency_CONSISTENCY_LOCAL_REGION, true, nil
	case slashid.AllRegions:
		return quashv1.Consistency_CONSISTENCY_ALL_REGIONS, true, nil
	default:
		return 0, false, &Violation{
			Field:       MetadataConsistency,
			Description: fmt.Sprintf("must be %s or %s", slashid.LocalRegion, slashid.AllRegions),
		}
	}
}

func timeoutHeader(ctx context.Context) (timeout time.Duration, set bool, bad *Violation) {
	value, set, bad := singleValue(ctx, MetadataConsistencyTimeout)
	if !set || bad != nil {
		return 0, false, bad
	}
	seconds, err := strconv.ParseUint(value, 10, 16)
	timeout = time.Duration(seconds) * time.Second
	if err != nil || timeout < MinTimeout || timeout > MaxTimeout {
		return 0, false, &Violation{
			Field: MetadataConsistencyTimeout,
			Description: fmt.Sprintf("must be a whole number of seconds from %d to %d",
				MinTimeout/time.Second, MaxTimeout/time.Second),
		}
	}
	return timeout, true, nil
}

func sdkVersionHeader(ctx context.Context) (string, *Violation) {
	value, set, bad := singleValue(ctx, MetadataSDKVersion)
	if !set || bad != nil {
		return "", bad
	}
	if len(value) > maxSDKVersion || strings.ContainsFunc(value, unprintable) {
		return "", &Violation{
			Field:       MetadataSDKVersion,
			Description: fmt.Sprintf("must be printable ASCII of at most %d bytes", maxSDKVersion),
		}
	}
	return value, nil
}

func unprintable(r rune) bool { return r < ' ' || r > '~' }

// singleValue returns what the metadata of a call holds under key. Repetitions of one
// value count as one: proxies are known to repeat headers.
func singleValue(ctx context.Context, key string) (value string, set bool, bad *Violation) {
	// Not FromIncomingContext, which copies all of it.
	values := metadata.ValueFromIncomingContext(ctx, key)
	if len(values) == 0 {
		return "", false, nil
	}
	for _, other := range values[1:] {
		if other != values[0] {
			return "", false, &Violation{Field: key, Description: "must be given once"}
		}
	}
	return values[0], true, nil
}

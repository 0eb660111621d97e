package service

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"buf.build/go/protovalidate"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/reflect/protoreflect"

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

// The metadata keys of the credentials that are forwarded when quash has no key
// of its own.
const (
	MetadataAPIKey        = "slashid-api-key"
	MetadataAuthorization = "authorization"
	MetadataOrgID         = "slashid-orgid"
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
	credentials  slashid.Credentials
	// ownCredentials is whether they are quash's own and not the caller's.
	ownCredentials bool
}

// readCommand makes a command of a request and the metadata that came with it in ctx. It
// reports everything that is wrong with them, not the first thing.
func (s *TokenService) readCommand(ctx context.Context, req *quashv1.RevokeRequest) (command, []Violation) {
	r := reader{violations: s.brokenRules(req)}
	r.headers, _ = metadata.FromIncomingContext(ctx)
	cmd := command{
		token:        slashid.NewSecret(req.GetToken()),
		consistency:  reconcile(&r, "consistency", MetadataConsistency, req.GetConsistency(), r.consistency()),
		timeout:      reconcile(&r, "timeout", MetadataConsistencyTimeout, req.GetTimeout().AsDuration().Truncate(time.Second), r.timeout()),
		allowInvalid: req.GetAllowInvalid(),
		sdkVersion:   r.sdkVersion(),
	}
	if cmd.consistency == quashv1.Consistency_CONSISTENCY_UNSPECIFIED {
		cmd.consistency = quashv1.Consistency_CONSISTENCY_LOCAL_REGION
	}
	// Own and forwarded credentials are never mixed: a caller's key must not stand in
	// for ours, nor ours for a caller's.
	if s.cfg.APIKey != nil {
		cmd.credentials, cmd.ownCredentials = slashid.Credentials{APIKey: s.cfg.APIKey()}, true
	} else {
		cmd.credentials = r.credentials()
	}
	return cmd, r.violations
}

// fieldRules states the rule of each field of RevokeRequest in words. The rules themselves
// are in the proto; protovalidate's own words for them quote regular expressions, and do
// not say which names or forms are accepted.
var fieldRules = map[string]string{
	"token": fmt.Sprintf("must be 1 to %d characters of A-Z a-z 0-9 - _ .", maxToken),
	"consistency": fmt.Sprintf("must be %s or %s",
		quashv1.Consistency_CONSISTENCY_LOCAL_REGION, quashv1.Consistency_CONSISTENCY_ALL_REGIONS),
	"timeout":       fmt.Sprintf("must be a duration from %ds to %ds, such as \"30s\"", MinTimeout/time.Second, MaxTimeout/time.Second),
	"allow_invalid": "must be true or false",
}

// FieldViolation returns the violation of a field of RevokeRequest that breaks its rule, or
// that cannot be decoded.
func FieldViolation(field string) Violation {
	return Violation{Field: field, Description: fieldRules[field]}
}

// brokenRules applies the rules of the proto. A field that breaks several of its rules is
// reported once.
func (s *TokenService) brokenRules(req *quashv1.RevokeRequest) []Violation {
	err := s.validator.Validate(req, protovalidate.WithFilter(protovalidate.FilterFunc(needsValidation)))
	if err == nil {
		return nil
	}
	var invalid *protovalidate.ValidationError
	if !errors.As(err, &invalid) {
		// The rules could not be evaluated. The text of the error may contain the value.
		return []Violation{{Field: "body", Description: "cannot be checked against the rules of the API"}}
	}
	var violations []Violation
	for _, v := range invalid.Violations {
		violation := FieldViolation(protovalidate.FieldPathString(v.Proto.GetField()))
		if !slices.Contains(violations, violation) {
			violations = append(violations, violation)
		}
	}
	return violations
}

const (
	// maxToken and tokenCharacters repeat the rules of the field token.
	maxToken        = 16 << 10
	tokenCharacters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-"
)

// needsValidation is protovalidate's filter. It skips the rules of a token that breaks
// none, because their regular expression takes a fifth of a whole call
// (docs/decisions.md).
func needsValidation(message protoreflect.Message, rules protoreflect.Descriptor) bool {
	req, ok := message.Interface().(*quashv1.RevokeRequest)
	if !ok || rules.Name() != "token" {
		return true
	}
	token := req.GetToken()
	return token == "" || len(token) > maxToken || strings.Trim(token, tokenCharacters) != ""
}

// reader reads the headers of a request, and collects what is wrong with them.
type reader struct {
	headers    metadata.MD
	violations []Violation
}

func (r *reader) rejectf(field, format string, args ...any) {
	r.violations = append(r.violations, Violation{Field: field, Description: fmt.Sprintf(format, args...)})
}

// single returns the value of a header. Repetitions of one value count as one: proxies
// are known to repeat headers.
func (r *reader) single(key string) (value string, ok bool) {
	values := r.headers.Get(key)
	if len(values) == 0 {
		return "", false
	}
	for _, other := range values[1:] {
		if other != values[0] {
			r.rejectf(key, "must be given once")
			return "", false
		}
	}
	return values[0], true
}

// reconcile joins a field and the header of the same meaning. The zero value of
// either means that it is unset.
func reconcile[T comparable](r *reader, field, header string, inField, inHeader T) T {
	var unset T
	switch {
	case inHeader == unset:
		return inField
	case inField != unset && inField != inHeader:
		r.rejectf(field, "must match the header %s if both are set", header)
	}
	return inHeader
}

func (r *reader) consistency() quashv1.Consistency {
	value, ok := r.single(MetadataConsistency)
	if !ok {
		return quashv1.Consistency_CONSISTENCY_UNSPECIFIED
	}
	switch slashid.Consistency(value) {
	case slashid.LocalRegion:
		return quashv1.Consistency_CONSISTENCY_LOCAL_REGION
	case slashid.AllRegions:
		return quashv1.Consistency_CONSISTENCY_ALL_REGIONS
	}
	r.rejectf(MetadataConsistency, "must be %s or %s", slashid.LocalRegion, slashid.AllRegions)
	return quashv1.Consistency_CONSISTENCY_UNSPECIFIED
}

func (r *reader) timeout() time.Duration {
	value, ok := r.single(MetadataConsistencyTimeout)
	if !ok {
		return 0
	}
	seconds, err := strconv.ParseUint(value, 10, 16)
	timeout := time.Duration(seconds) * time.Second
	if err != nil || timeout < MinTimeout || timeout > MaxTimeout {
		r.rejectf(MetadataConsistencyTimeout, "must be a whole number of seconds from %d to %d",
			MinTimeout/time.Second, MaxTimeout/time.Second)
		return 0
	}
	return timeout
}

func (r *reader) sdkVersion() string {
	value, _ := r.single(MetadataSDKVersion)
	unprintable := func(r rune) bool { return r < ' ' || r > '~' }
	if len(value) > maxSDKVersion || strings.ContainsFunc(value, unprintable) {
		r.rejectf(MetadataSDKVersion, "must be printable ASCII of at most %d bytes", maxSDKVersion)
	}
	return value
}

func (r *reader) credentials() slashid.Credentials {
	apiKey, _ := r.single(MetadataAPIKey)
	authorization, _ := r.single(MetadataAuthorization)
	orgID, _ := r.single(MetadataOrgID)
	return slashid.Credentials{
		APIKey:        slashid.NewSecret(apiKey),
		Authorization: slashid.NewSecret(authorization),
		OrgID:         orgID,
	}
}

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

// The metadata keys of SlashID's request headers. The gateway sets them from HTTP headers;
// gRPC callers can set them, too.
const (
	MetadataConsistency        = "slashid-required-consistency"
	MetadataConsistencyTimeout = "slashid-required-consistency-timeout"
	MetadataSDKVersion         = "slashid-sdkversion"
)

// The metadata keys of the credentials that are forwarded if quash has no API key.
const (
	MetadataAPIKey        = "slashid-api-key"
	MetadataAuthorization = "authorization"
	MetadataOrgID         = "slashid-orgid"
)

// maxSDKVersion is the maximum length of an SDK version, in bytes.
const maxSDKVersion = 64

// command is a valid request: its fields and headers match, and break no rule.
type command struct {
	token        slashid.Secret
	consistency  quashv1.Consistency // never unspecified
	timeout      time.Duration       // whole seconds; 0 if the request has none
	allowInvalid bool
	sdkVersion   string
	credentials  slashid.Credentials
	// ownCredentials is whether credentials are quash's own and not the caller's.
	ownCredentials bool
}

// readCommand returns the command that a request and its metadata, which is in ctx, ask
// for. It reports all violations, not only the first.
func (s *TokenService) readCommand(ctx context.Context, req *quashv1.RevokeRequest) (command, []Violation) {
	r := reader{ctx: ctx, violations: s.brokenRules(req)}
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
	// Own and forwarded credentials are never mixed, so that a caller can use neither
	// quash's key with its own credentials nor its own key in place of quash's.
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
	// maxToken and tokenCharacters repeat the rules of the field token in the proto.
	maxToken        = 16 << 10
	tokenCharacters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-"
)

// needsValidation is a filter for protovalidate. It skips the rules of a token that breaks
// none of them, because their regular expression takes a fifth of the time of a whole call
// (docs/decisions.md).
func needsValidation(message protoreflect.Message, rules protoreflect.Descriptor) bool {
	req, ok := message.Interface().(*quashv1.RevokeRequest)
	if !ok || rules.Name() != "token" {
		return true
	}
	token := req.GetToken()
	return token == "" || len(token) > maxToken || strings.Trim(token, tokenCharacters) != ""
}

// reader reads the headers of a request, and collects their violations.
type reader struct {
	ctx        context.Context //nolint:containedctx // the headers are in it
	violations []Violation
}

func (r *reader) rejectf(field, format string, args ...any) {
	r.violations = append(r.violations, Violation{Field: field, Description: fmt.Sprintf(format, args...)})
}

// single returns the value of a header. A repetition of the same value counts once: proxies
// repeat headers, and join repeated lines with commas (RFC 9110, section 5.3).
func (r *reader) single(key string) (value string, ok bool) {
	values := metadata.ValueFromIncomingContext(r.ctx, key)
	if len(values) == 0 {
		return "", false
	}
	lines := slices.Compact(slices.Clone(values))
	if len(lines) == 1 && !strings.Contains(lines[0], ",") {
		return lines[0], true
	}
	var elements []string
	for element := range strings.SplitSeq(strings.Join(values, ","), ",") {
		if element = strings.TrimSpace(element); element != "" {
			elements = append(elements, element)
		}
	}
	switch {
	case len(elements) > 1 && len(slices.Compact(elements)) == 1:
		return elements[0], true
	case len(lines) == 1: // no repetition, but a value with a comma
		return lines[0], true
	}
	r.rejectf(key, "must be given once")
	return "", false
}

// reconcile returns the value of a field or of the header with the same meaning. The zero
// value means unset. If both are set, they must be equal.
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

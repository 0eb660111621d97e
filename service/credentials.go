package service

import (
	"context"

	"github.com/quashdev/quash/service/slashid"
)

// The metadata keys of the credentials that are forwarded when quash has no key
// of its own.
const (
	MetadataAPIKey        = "slashid-api-key"
	MetadataAuthorization = "authorization"
	MetadataOrgID         = "slashid-orgid"
)

// credentials chooses what authenticates a call to SlashID, and reports whether
// it is quash's own. Own and forwarded credentials are never mixed: a caller's
// key must not stand in for ours, nor ours for a caller's.
func (s *TokenService) credentials(ctx context.Context) (creds slashid.Credentials, own bool, violations []Violation) {
	if s.cfg.APIKey != nil {
		return slashid.Credentials{APIKey: s.cfg.APIKey()}, true, nil
	}
	single := func(key string) string {
		value, _, bad := singleValue(ctx, key)
		violations = appendIfBad(violations, bad)
		return value
	}
	creds = slashid.Credentials{
		APIKey:        slashid.NewSecret(single(MetadataAPIKey)),
		Authorization: slashid.NewSecret(single(MetadataAuthorization)),
		OrgID:         single(MetadataOrgID),
	}
	return creds, false, violations
}

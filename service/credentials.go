package service

import (
	"google.golang.org/grpc/metadata"

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
func (s *TokenService) credentials(md metadata.MD) (creds slashid.Credentials, own bool) {
	if !s.cfg.APIKey.IsZero() {
		return slashid.Credentials{APIKey: s.cfg.APIKey}, true
	}
	return slashid.Credentials{
		APIKey:        slashid.NewSecret(first(md, MetadataAPIKey)),
		Authorization: slashid.NewSecret(first(md, MetadataAuthorization)),
		OrgID:         first(md, MetadataOrgID),
	}, false
}

func first(md metadata.MD, key string) string {
	if values := md.Get(key); len(values) > 0 {
		return values[0]
	}
	return ""
}

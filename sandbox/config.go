package sandbox

import (
	"cmp"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"time"
)

// What an empty [Config] stands for.
const (
	DefaultAPIKey        = "sandbox"
	DefaultIssuer        = "quash-sandbox"
	DefaultOrgID         = "5a4db0c5-0000-4000-8000-000000000000"
	DefaultTokenLifetime = 24 * time.Hour
)

// Config says how a [Sandbox] begins. The zero value is useful: three regions
// that replicate without delay, and the defaults named above.
type Config struct {
	// Regions names the regions, the local one first. A name is 1 to 63 lower-case
	// letters, digits and inner hyphens, and occurs once. Empty means us-east,
	// eu-west and ap-south.
	Regions []string

	// ReplicationLag is how long after the local region every remote one applies
	// a revocation. It is not negative; 0 means at once, before the call is
	// answered. The local region starts without lag. [Sandbox.SetRegion] changes
	// the lag of any region later.
	ReplicationLag time.Duration

	// APIKey is what the SlashID-API-Key header must hold. Empty means
	// [DefaultAPIKey].
	APIKey string

	// TokenLifetime is the validity of minted tokens: at least one second, and 0
	// means [DefaultTokenLifetime].
	TokenLifetime time.Duration

	// Issuer is the iss claim of minted tokens. Empty means [DefaultIssuer].
	Issuer string

	// OrgID is the organisation that tokens belong to, and what the SlashID-OrgID
	// header must hold where it is required. Empty means [DefaultOrgID].
	OrgID string
}

// Region names become path segments of the control endpoints.
var regionName = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`)

func (c Config) withDefaults() Config {
	c.Regions = slices.Clone(c.Regions)
	if len(c.Regions) == 0 {
		c.Regions = []string{"us-east", "eu-west", "ap-south"}
	}
	c.APIKey = cmp.Or(c.APIKey, DefaultAPIKey)
	c.TokenLifetime = cmp.Or(c.TokenLifetime, DefaultTokenLifetime)
	c.Issuer = cmp.Or(c.Issuer, DefaultIssuer)
	c.OrgID = cmp.Or(c.OrgID, DefaultOrgID)
	return c
}

// validate reports every problem at once, so that a user fixes them in one go.
func (c Config) validate() error {
	var problems []error
	for i, name := range c.Regions {
		switch {
		case !regionName.MatchString(name):
			problems = append(problems, fmt.Errorf("region %q: a name is 1 to 63 lower-case letters, digits and inner hyphens", name))
		case slices.Contains(c.Regions[:i], name):
			problems = append(problems, fmt.Errorf("region %q is named twice", name))
		}
	}
	if c.ReplicationLag < 0 {
		problems = append(problems, fmt.Errorf("replication lag %v is negative", c.ReplicationLag))
	}
	if c.TokenLifetime < time.Second {
		problems = append(problems, fmt.Errorf("token lifetime %v is below one second", c.TokenLifetime))
	}
	return errors.Join(problems...)
}

package sandbox

import (
	"cmp"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"time"
)

// Defaults for the fields of [Config].
const (
	DefaultAPIKey        = "sandbox"
	DefaultIssuer        = "quash-sandbox"
	DefaultOrgID         = "5a4db0c5-0000-4000-8000-000000000000"
	DefaultTokenLifetime = 24 * time.Hour
)

// Config configures a [Sandbox]. The zero value is useful: three regions that replicate
// without delay, and the defaults above.
type Config struct {
	// Regions names the regions, the local one first. A name is 1 to 63 lower-case
	// letters, digits and inner hyphens, and occurs once. Empty means us-east,
	// eu-west and ap-south.
	Regions []string

	// ReplicationLag is the time between the local region and the remote regions
	// applying a revocation. It must not be negative; 0 means at once, before the call
	// is answered. The local region starts with no lag. Use [Sandbox.SetRegion] to
	// change the lag of any region later.
	ReplicationLag time.Duration

	// APIKey is the required value of the SlashID-API-Key header. Empty means
	// [DefaultAPIKey].
	APIKey string

	// TokenLifetime is how long minted tokens are valid: at least one second; 0 means
	// [DefaultTokenLifetime].
	TokenLifetime time.Duration

	// Issuer is the iss claim of minted tokens. Empty means [DefaultIssuer].
	Issuer string

	// OrgID is the organisation that tokens belong to, and the required value of the
	// SlashID-OrgID header on endpoints that check it. Empty means [DefaultOrgID].
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

// validate reports every problem, so that the user can fix them all before the next try.
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

package slashid_test

import (
	"testing"

	"github.com/quashdev/quash/service/slashid"
)

func TestKindString(t *testing.T) {
	t.Parallel()
	for kind, want := range map[slashid.Kind]string{
		slashid.Revoked:        "Revoked",
		slashid.TokenRejected:  "TokenRejected",
		slashid.Unauthorized:   "Unauthorized",
		slashid.Forbidden:      "Forbidden",
		slashid.InProgress:     "InProgress",
		slashid.OpaqueTimeout:  "OpaqueTimeout",
		slashid.RateLimited:    "RateLimited",
		slashid.Unavailable:    "Unavailable",
		slashid.Unexpected:     "Unexpected",
		slashid.NotConnected:   "NotConnected",
		slashid.ConnectionLost: "ConnectionLost",
		slashid.NoAnswer:       "NoAnswer",
		slashid.Cancelled:      "Cancelled",
		slashid.KeptBack:       "KeptBack",

		-1:                   "Kind(-1)",
		0:                    "Kind(0)",
		slashid.KeptBack + 1: "Kind(15)",
	} {
		if got := kind.String(); got != want {
			t.Errorf("Kind(%d): got %q, want %q", int(kind), got, want)
		}
	}
}

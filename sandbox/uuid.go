package sandbox

import "github.com/google/uuid"

// uuidLength is that of the usual form, the only one SlashID writes; package uuid
// reads some others too.
const uuidLength = 36

func isUUID(s string) bool { return len(s) == uuidLength && uuid.Validate(s) == nil }

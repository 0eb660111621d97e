package service

import (
	"google.golang.org/protobuf/types/known/durationpb"

	quashv1 "github.com/quashdev/quash/gen/quash/v1"
)

// maxToken is the longest token, in bytes.
const maxToken = 16 << 10

// plainlyValid reports whether req surely breaks no rule of the proto's, as nearly every
// request does. Whether another does, and which, is protovalidate's to say: its regular
// expression takes longer over a token than the rest of a call's validation.
func plainlyValid(req *quashv1.RevokeRequest) bool {
	return plainToken(req.GetToken()) && plainConsistency(req.GetConsistency()) && plainTimeout(req.GetTimeout())
}

func plainToken(token string) bool {
	if token == "" || len(token) > maxToken {
		return false
	}
	for i := range len(token) {
		if !tokenCharacters[token[i]] {
			return false
		}
	}
	return true
}

var tokenCharacters = func() (is [256]bool) {
	for _, c := range []byte("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-") {
		is[c] = true
	}
	return is
}()

func plainConsistency(level quashv1.Consistency) bool {
	return level >= quashv1.Consistency_CONSISTENCY_UNSPECIFIED && level <= quashv1.Consistency_CONSISTENCY_ALL_REGIONS
}

// plainTimeout leaves odd forms of a duration, which may be valid all the same, to
// protovalidate.
func plainTimeout(timeout *durationpb.Duration) bool {
	if timeout == nil {
		return true
	}
	seconds, nanos := timeout.GetSeconds(), timeout.GetNanos()
	return seconds >= int64(MinTimeout.Seconds()) && nanos >= 0 && nanos < 1e9 &&
		(seconds < int64(MaxTimeout.Seconds()) || seconds == int64(MaxTimeout.Seconds()) && nanos == 0)
}

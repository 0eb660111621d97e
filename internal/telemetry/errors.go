package telemetry

import (
	"net/url"
	"regexp"
)

var (
	// collectorText matches what exporters quote from the collector: the body of its answer,
	// the description of its status, its reason for a partial success.
	collectorText = regexp.MustCompile(`(?s)(\bbody: |\bdesc = |\bpartial success: ).*`)
	addresses     = regexp.MustCompile(`https?://[^\s"]+`)
)

// ErrorText returns the text of an exporter's error without credentials. It keeps only the
// scheme and the host of an address, because the rest may contain credentials. It redacts what
// the collector answered, because that may quote the credentials that the collector received.
func ErrorText(err error) string {
	text := collectorText.ReplaceAllString(err.Error(), "$1[redacted]")
	return addresses.ReplaceAllStringFunc(text, func(address string) string {
		u, err := url.Parse(address)
		if err != nil {
			return "[redacted]"
		}
		return u.Scheme + "://" + u.Host
	})
}

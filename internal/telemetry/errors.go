package telemetry

import (
	"net/url"
	"regexp"
)

var (
	// collectorsWords are where exporters quote their collector: the body of its answer, the
	// description of its status, its reason to leave something out.
	collectorsWords = regexp.MustCompile(`(?s)(\bbody: |\bdesc = |\bpartial success: ).*`)
	addresses       = regexp.MustCompile(`https?://[^\s"]+`)
)

// ErrorText is what an exporter's error may tell a log. Of addresses only the host is
// shown, since services put credentials into the rest; a collector may answer with those
// that it was sent.
func ErrorText(err error) string {
	text := collectorsWords.ReplaceAllString(err.Error(), "$1[redacted]")
	return addresses.ReplaceAllStringFunc(text, func(address string) string {
		u, err := url.Parse(address)
		if err != nil {
			return "[redacted]"
		}
		return u.Scheme + "://" + u.Host
	})
}

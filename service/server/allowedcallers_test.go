package server

import (
	"crypto/x509"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/quashdev/quash/internal/pkitest"
)

func TestParseAllowedCallers(t *testing.T) {
	t.Parallel()
	long := "spiffe://example.org/" + strings.Repeat("a", 60_000)
	for name, tt := range map[string]struct {
		list string
		// allowed and refused are identities in certificates.
		allowed, refused []string
	}{
		"a SPIFFE ID": {
			"spiffe://Example.org/billing",
			[]string{"spiffe://example.org/billing", "SPIFFE://EXAMPLE.ORG/billing"},
			[]string{
				"spiffe://example.org/Billing", "spiffe://example.org/billing2", "spiffe://example.org/billing/", "spiffe://example.org/billin", "spiffe://example.org",
				"spiffe://example.org.evil.test/billing", "spiffe://a@example.org/billing", "spiffe://example.org:443/billing", "https://example.org/billing",
			},
		},
		"a DNS name":          {"a.Example.org", []string{"A.example.ORG"}, []string{"example.org", "aa.example.org", "a.example.org.", "b.a.example.org"}},
		"a name of one label": {"billing", []string{"billing"}, []string{"billing.example.org"}},
		"a URN":               {"urn:example:A", []string{"urn:example:A", "URN:example:A"}, []string{"urn:example:a"}},
		"a query, a fragment": {"https://Example.org?a=A/B#C", []string{"HTTPS://example.org?a=A/B#C"}, []string{"https://example.org?a=a/B#C", "https://example.org?a=A/B#c"}},
		"a user and a port":   {"https://A@Example.org:8443/", []string{"https://A@example.org:8443/"}, []string{"https://a@example.org:8443/", "https://A@example.org/"}},
		"a star alone":        {"*", []string{"a", "spiffe://example.org/x", "urn:x"}, nil},
		"a prefix":            {"spiffe://Example.org/Jobs/*", []string{"spiffe://example.org/Jobs/", "spiffe://example.org/Jobs/a/b"}, []string{"spiffe://example.org/Jobs", "spiffe://example.org/Jobs-a/b", "spiffe://example.org/jobs/a", "spiffe://a/spiffe://example.org/Jobs/b"}},
		"a prefix of a name":  {"Billing-*", []string{"billing-1.example.org"}, []string{"billing.example.org", "spiffe://billing-1/"}},
		"a prefix of a URN":   {"URN:example:A*", []string{"urn:example:Auditor"}, []string{"urn:example:auditor"}},
		"several, some twice": {"a\nb\nA\n", []string{"a", "b"}, []string{"c", "ab", "a\nb"}},
		"space and Windows":   {" \t a \t \r\n\r\n\tb", []string{"a", "b"}, nil},
		"comments":            {"# a\n  # b\nc # naïve \x00\xff *\ne\t#f\n#\n", []string{"c", "e"}, []string{"a", "b", "f", "#"}},
		"a # in an identity":  {"https://example.org/#a # b", []string{"https://example.org/#a"}, []string{"https://example.org/"}},
		"a long line":         {long, []string{long}, []string{long[:50_000]}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			allowed, err := ParseAllowedCallers([]byte(tt.list))
			if err != nil {
				t.Fatal(err)
			}
			for _, identity := range tt.allowed {
				if !allowed.allow(fold(identity)) {
					t.Errorf("%q is refused", identity)
				}
			}
			for _, identity := range tt.refused {
				if allowed.allow(fold(identity)) || (AllowedCallers{}).allow(fold(identity)) {
					t.Errorf("%q is allowed", identity)
				}
			}
		})
	}
}

func TestInvalidLists(t *testing.T) {
	t.Parallel()
	const (
		notOne  = " must be one identity in printable ASCII"
		badStar = " has a * that is not its last character"
		neither = " is neither a URI such as spiffe://example.org/billing nor a DNS name"
		empty   = "the list has no identity, so every call would be rejected; write one identity per line, or remove the flag"
	)
	for list, want := range map[string]string{
		"":                                      empty,
		"# spiffe://example.org/billing\n \t\n": empty,
		"a\nb c\n":                              "line 2" + notOne,
		"a,b":                                   "line 1" + neither,
		"# who\n\na.example.org#a\n":            "line 3" + neither,
		"*.example.org":                         "line 1" + badStar,
		"a\nspiffe://*/billing":                 "line 2" + badStar,
		"spiffe://example.org/**":               "line 1" + badStar,
		"spiffe://example.org/ *":               "line 1" + notOne,
		"\ufeffa":                               "line 1" + notOne,
		"\xff\xfea\x00\n\x00":                   "line 1" + notOne,
		"a\rb\r":                                "line 1" + notOne,
		"b\u00fccher.example.org":               "line 1" + notOne,
		"/billing":                              "line 1" + neither,
		"spiffe:":                               "line 1" + neither,
		"spiffe:///billing":                     "line 1" + neither,
		"//example.org/billing":                 "line 1" + neither,
		"billing@example.org":                   "line 1" + neither,
		"CN=billing":                            "line 1" + neither,
		"spiffe://example.org/%zz":              "line 1" + neither,
		"-----BEGIN PRIVATE KEY-----\nMC4C\n":   "line 1" + notOne,
		"a\n" + strings.Repeat("b", 1<<20):      "cannot read the list: bufio.Scanner: token too long",
	} {
		allowed, err := ParseAllowedCallers([]byte(list))
		if err == nil || err.Error() != want {
			t.Errorf("%.40q: %v, want %q", list, err, want)
		}
		if allowed.allow("a") || allowed.allow("") {
			t.Errorf("%.40q: the list returned with the error allows a caller", list)
		}
	}
}

// The log names the rejected caller. A caller can neither flood the log nor forge lines.
func TestLogNamesTheRejectedCaller(t *testing.T) {
	t.Parallel()
	for want, cert := range map[string]*x509.Certificate{
		"no URI and no DNS name":                   {DNSNames: []string{"*.example.org", "spiffe://example.org/a"}},
		`["a.example.org"]`:                        {DNSNames: []string{"A.example.org"}},
		`["urn:a" "urn:b\n" "c"] and 2 more`:       {DNSNames: []string{"c", "d", "e"}, URIs: []*url.URL{{Scheme: "urn", Opaque: "a"}, {Scheme: "urn", Opaque: "b\n"}}},
		`["spiffe://example.org/a" "example.org"]`: {DNSNames: []string{"example.org"}, URIs: pkitest.URIs("spiffe://example.org/a", "*", "audit.example.org")},
	} {
		if got := abridged(identitiesOf(cert)); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}

// A caller is allowed only if a line matches one of its identities: exactly, or as the prefix
// before a *.
func FuzzAllowedCallers(f *testing.F) {
	for _, seed := range []struct{ list, uri, name string }{
		{"spiffe://example.org/billing", "spiffe://example.org/billing", "example.org"},
		{"spiffe://Example.org/Jobs/*", "SPIFFE://EXAMPLE.org/Jobs/a", "Jobs"},
		{"a\r\nb # c\n# d\n*", "urn:e", "d"},
		{"URN:a*\nurn:B", "urn:b", "urn:ab"},
		{"https://A@b?C#D", "https://a@b?C#D", ""},
		{"https:/*\nhttp*", "HTTPS://A/", "http."},
		{"\ufeffa", "//a", "a"},
		{"x%41*", "x://a/%41|", "x%41"},
	} {
		f.Add(seed.list, seed.uri, seed.name)
	}
	dnsName := regexp.MustCompile(`\A[\w.-]+\z`)
	f.Fuzz(func(t *testing.T, list, uri, name string) {
		allowed, err := ParseAllowedCallers([]byte(list))
		allows := func(cert *x509.Certificate) bool { return slices.ContainsFunc(identitiesOf(cert), allowed.allow) }
		if allows(&x509.Certificate{DNSNames: []string{name}}) && (err != nil || !dnsName.MatchString(name) || !covered(list, name)) {
			t.Errorf("%q is allowed", name)
		}
		u, parseErr := url.Parse(uri)
		if parseErr == nil && allows(&x509.Certificate{URIs: []*url.URL{u}}) && (err != nil || u.Scheme == "" || !covered(list, u.String())) {
			t.Errorf("%q is allowed", u)
		}
	})
}

var (
	comment = regexp.MustCompile(`(^|[ \t])#.*`)
	// uriParts are scheme, user, host and the rest. Only user and rest are case-sensitive.
	uriParts = regexp.MustCompile(`\A(?s)([^:]*):(?://((?:[^/?#]*@)?)([^/?#]*))?(.*)\z`)
)

// covered is a simple, slow implementation to compare with.
func covered(list, identity string) bool {
	for line := range strings.SplitSeq(list, "\n") {
		line = strings.TrimSpace(comment.ReplaceAllString(line, ""))
		if prefix, ok := strings.CutSuffix(line, "*"); ok && len(prefix) <= len(identity) {
			line = prefix + identity[len(prefix):]
		}
		a, b := uriParts.FindStringSubmatch(line), uriParts.FindStringSubmatch(identity)
		switch {
		case line == "" || (a == nil) != (b == nil):
		case a == nil && strings.EqualFold(line, identity):
			return true
		case a != nil && strings.EqualFold(a[1], b[1]) && a[2] == b[2] && strings.EqualFold(a[3], b[3]) && a[4] == b[4]:
			return true
		}
	}
	return false
}

package server

import (
	"crypto/x509"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
)

func TestParseAllowedCallers(t *testing.T) {
	t.Parallel()
	const (
		notOne  = " must hold one identity, in printable ASCII"
		badStar = " has a * that is not its last character"
		neither = " is neither a URI such as spiffe://example.org/billing nor a DNS name"
		nobody  = "it names nobody, so nobody could call; give an identity a line, or leave the flag out"
	)
	for name, tt := range map[string]struct {
		list string
		// allowed and refused are identities as certificates have them.
		allowed, refused []string
		problem          string
	}{
		"a SPIFFE ID": {
			list:    "spiffe://example.org/billing",
			allowed: []string{"spiffe://example.org/billing", "SPIFFE://EXAMPLE.ORG/billing"},
			refused: []string{"spiffe://example.org/Billing", "spiffe://example.org/billing2", "spiffe://example.org"},
		},
		"a DNS name":            {list: "a.Example.org", allowed: []string{"A.example.ORG"}, refused: []string{"example.org", "aa.example.org", "a.example.org."}},
		"a name of one label":   {list: "billing", allowed: []string{"billing"}, refused: []string{"billing.example.org"}},
		"an underscore":         {list: "_quash._tcp.example.org", allowed: []string{"_quash._tcp.example.org"}},
		"a URN":                 {list: "urn:example:A", allowed: []string{"urn:example:A", "URN:example:A"}, refused: []string{"urn:example:a"}},
		"a query":               {list: "https://Example.org?a=A/B#C", allowed: []string{"HTTPS://example.org?a=A/B#C"}, refused: []string{"https://example.org?a=a/B#C", "https://example.org?a=A/B#c"}},
		"a fragment":            {list: "https://example.org#A", allowed: []string{"https://example.org#A"}, refused: []string{"https://example.org#a", "https://example.org"}},
		"a user":                {list: "https://A@Example.org/", allowed: []string{"https://A@example.org/"}, refused: []string{"https://a@example.org/"}},
		"a port":                {list: "https://example.org:8443/", allowed: []string{"https://example.org:8443/"}, refused: []string{"https://example.org/"}},
		"a star alone":          {list: "*", allowed: []string{"a", "spiffe://example.org/x", "urn:x"}},
		"a prefix":              {list: "spiffe://Example.org/Jobs/*", allowed: []string{"spiffe://example.org/Jobs/", "spiffe://example.org/Jobs/a/b"}, refused: []string{"spiffe://example.org/Jobs", "spiffe://example.org/jobs/a"}},
		"a prefix of a name":    {list: "Billing-*", allowed: []string{"billing-1.example.org"}, refused: []string{"billing.example.org", "spiffe://billing-1/"}},
		"a prefix of a URN":     {list: "URN:example:A*", allowed: []string{"urn:example:Auditor"}, refused: []string{"urn:example:auditor"}},
		"a prefix of a query":   {list: "https://example.org?A*", allowed: []string{"https://example.org?Auditor"}, refused: []string{"https://example.org?auditor"}},
		"several":               {list: "a\nb\n", allowed: []string{"a", "b"}, refused: []string{"c", "ab", "a\nb"}},
		"the same twice":        {list: "a\nA\na*\nA*\n", allowed: []string{"a", "ab"}, refused: []string{"b"}},
		"space around":          {list: " \t a \t \n\n\tb", allowed: []string{"a", "b"}},
		"no line end":           {list: "a\nb", allowed: []string{"b"}},
		"lines of Windows":      {list: "# who\r\na\r\n\r\nb # why\r\nc*\r\n", allowed: []string{"a", "b", "c", "cd"}},
		"comments":              {list: "# a\n  # b\nc # d\ne\t#f\ng\t # h # i\n#\n", allowed: []string{"c", "e", "g"}, refused: []string{"a", "b", "d", "f", "h", "i", "#"}},
		"a comment in any text": {list: "a # naïve \x00\xff *\n#* \u2028\n", allowed: []string{"a"}},
		"a # in an identity":    {list: "https://example.org/#a # b", allowed: []string{"https://example.org/#a"}, refused: []string{"https://example.org/"}},
		"a long line":           {list: "spiffe://example.org/" + strings.Repeat("a", 60_000), allowed: []string{"spiffe://example.org/" + strings.Repeat("a", 60_000)}, refused: []string{"spiffe://example.org/" + strings.Repeat("a", 59_999)}},
		"many lines":            {list: strings.Repeat("a\n", 100_000) + "b\n", allowed: []string{"a", "b"}},

		"empty":                       {problem: nobody},
		"blank":                       {list: " \n\t\r\n\n", problem: nobody},
		"comments alone":              {list: "# spiffe://example.org/billing\n#*\n", problem: nobody},
		"two on a line":               {list: "a\nb c\n", problem: "line 2" + notOne},
		"two with a comma":            {list: "a,b", problem: "line 1" + neither},
		"a comment without its space": {list: "# who\n\na.example.org#a\n", problem: "line 3" + neither},
		"a star at the front":         {list: "*.example.org", problem: "line 1" + badStar},
		"a star in the middle":        {list: "a\nspiffe://*/billing", problem: "line 2" + badStar},
		"two stars":                   {list: "spiffe://example.org/**", problem: "line 1" + badStar},
		"a star and a space":          {list: "spiffe://example.org/ *", problem: "line 1" + notOne},
		"a byte order mark":           {list: "\ufeffa", problem: "line 1" + notOne},
		"one before a comment":        {list: "\ufeff# who\na", problem: "line 1" + notOne},
		"UTF-16":                      {list: "\xff\xfea\x00\n\x00", problem: "line 1" + notOne},
		"lines of old Macs":           {list: "a\rb\r", problem: "line 1" + notOne},
		"a NUL":                       {list: "a\x00", problem: "line 1" + notOne},
		"beyond ASCII":                {list: "bücher.example.org", problem: "line 1" + notOne},
		"a letter that looks like a":  {list: "spiffe://ex\u0430mple.org/*", problem: "line 1" + notOne},
		"not even UTF-8":              {list: "a\xff", problem: "line 1" + notOne},
		"a path":                      {list: "/billing", problem: "line 1" + neither},
		"a scheme alone":              {list: "spiffe:", problem: "line 1" + neither},
		"no trust domain":             {list: "spiffe:///billing", problem: "line 1" + neither},
		"no scheme":                   {list: "//example.org/billing", problem: "line 1" + neither},
		"an e-mail address":           {list: "billing@example.org", problem: "line 1" + neither},
		"a distinguished name":        {list: "CN=billing", problem: "line 1" + neither},
		"a bad escape":                {list: "spiffe://example.org/%zz", problem: "line 1" + neither},
		"a key in the wrong file":     {list: "-----BEGIN PRIVATE KEY-----\nMC4C\n", problem: "line 1" + notOne},
		"a line too long":             {list: "a\n" + strings.Repeat("b", 1<<20), problem: "it cannot be read: bufio.Scanner: token too long"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			allowed, err := ParseAllowedCallers([]byte(tt.list))
			if tt.problem != "" {
				if err == nil || err.Error() != tt.problem {
					t.Errorf("%v, want %q", err, tt.problem)
				}
				if allowed.allow("a") || allowed.allow("") {
					t.Error("the list that comes with the error allows somebody")
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			for _, identity := range tt.allowed {
				if !allowed.allow(fold(identity)) {
					t.Errorf("%q is refused", identity)
				}
			}
			for _, identity := range tt.refused {
				if allowed.allow(fold(identity)) {
					t.Errorf("%q is allowed", identity)
				}
			}
		})
	}
}

func TestNobodyIsAllowedByZeroValue(t *testing.T) {
	t.Parallel()
	var nobody AllowedCallers
	for _, identity := range []string{"", "a", "spiffe://example.org/billing"} {
		if nobody.allow(identity) {
			t.Errorf("%q is allowed", identity)
		}
	}
}

// The log says who was refused, and neither floods nor forges it.
func TestRefusalSaysWho(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		cert x509.Certificate
		want string
	}{
		{x509.Certificate{}, "no URI and no DNS name"},
		{x509.Certificate{DNSNames: []string{"*.example.org", "spiffe://example.org/a"}}, "no URI and no DNS name"},
		{x509.Certificate{DNSNames: []string{"A.example.org"}}, `["a.example.org"]`},
		{x509.Certificate{DNSNames: []string{"c", "d", "e"}, URIs: []*url.URL{{Scheme: "urn", Opaque: "a"}, {Scheme: "urn", Opaque: "b\n"}}}, `["urn:a" "urn:b\n" "c"] and 2 more`},
	} {
		if got := abridged(identitiesOf(&tt.cert)); got != tt.want {
			t.Errorf("%s, want %s", got, tt.want)
		}
	}
}

// Nobody is allowed whom no line covers: a line without a * is the identity
// itself, one with it is so for some rest in its place.
func FuzzAllowedCallers(f *testing.F) {
	for _, seed := range []struct{ list, uri, name string }{
		{"spiffe://example.org/billing", "spiffe://example.org/billing", "example.org"},
		{"spiffe://Example.org/Jobs/*", "SPIFFE://EXAMPLE.org/Jobs/a", "Jobs"},
		{"a\r\nb # c\n# d\n*", "urn:e", "d"},
		{"billing*", "billing.example.org", "BILLING"},
		{"URN:a*\nurn:B", "urn:b", "urn:ab"},
		{"https://A@b?C#D", "https://a@b?C#D", ""},
		{"https://b?C*", "https://b?c", "https"},
		{"https:/*\nhttp*", "HTTPS://A/", "http."},
		{"spiffe:*", "spiffe:x", "spiffe:x"},
		{"\ufeffa", "//a", "a"},
		{"a\n**", "*", "*"},
		{"x%41*", "x://a/%41|", "x%41"},
	} {
		f.Add(seed.list, seed.uri, seed.name)
	}
	f.Fuzz(func(t *testing.T, list, uri, name string) {
		allowed, err := ParseAllowedCallers([]byte(list))
		if err != nil {
			if allowed.allow(fold(uri)) || allowed.allow(fold(name)) {
				t.Error("the list that comes with an error allows somebody")
			}
			return
		}
		cert := &x509.Certificate{DNSNames: []string{name}}
		if u, err := url.Parse(uri); err == nil {
			cert.URIs = []*url.URL{u}
			if allows(allowed, &x509.Certificate{URIs: cert.URIs}) && !coveredURI(list, u) {
				t.Errorf("%q is allowed", u)
			}
		}
		if allows(allowed, &x509.Certificate{DNSNames: cert.DNSNames}) && !coveredName(list, name) {
			t.Errorf("%q is allowed", name)
		}
		if allows(allowed, cert) && !coveredName(list, name) && (cert.URIs == nil || !coveredURI(list, cert.URIs[0])) {
			t.Errorf("%q with %q is allowed", cert.URIs, name)
		}
	})
}

func allows(allowed AllowedCallers, cert *x509.Certificate) bool {
	return slices.ContainsFunc(identitiesOf(cert), allowed.allow)
}

func coveredURI(list string, uri *url.URL) bool {
	return uri.Scheme != "" && covered(list, uri.String())
}

func coveredName(list, name string) bool {
	return dnsName.MatchString(name) && covered(list, name)
}

// covered is slow and simple on purpose.
func covered(list, identity string) bool {
	for line := range strings.SplitSeq(list, "\n") {
		line = strings.TrimSpace(comment.ReplaceAllString(line, ""))
		if line == "" {
			continue
		}
		if prefix, ok := strings.CutSuffix(line, "*"); ok && len(prefix) <= len(identity) {
			line = prefix + identity[len(prefix):]
		}
		if same(line, identity) {
			return true
		}
	}
	return false
}

var (
	comment = regexp.MustCompile(`(^|[ \t])#.*`)
	dnsName = regexp.MustCompile(`\A[\w.-]+\z`)
	// uriParts are scheme, user, host and the rest, of which case matters in the
	// user and in the rest.
	uriParts = regexp.MustCompile(`\A(?s)([^:]*):(?://((?:[^/?#]*@)?)([^/?#]*))?(.*)\z`)
)

// same reports whether two identities are the same, but for the case where it does
// not matter.
func same(a, b string) bool {
	one, other := uriParts.FindStringSubmatch(a), uriParts.FindStringSubmatch(b)
	if one == nil || other == nil {
		return one == nil && other == nil && strings.EqualFold(a, b)
	}
	return strings.EqualFold(one[1], other[1]) && one[2] == other[2] && strings.EqualFold(one[3], other[3]) && one[4] == other[4]
}

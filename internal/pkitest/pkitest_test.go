package pkitest_test

import (
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"testing"
	"time"

	"github.com/quashdev/quash/internal/pkitest"
)

// Other tests rely on this: a peer that trusts the CA accepts the valid certificates, and
// rejects the others.
func TestIssue(t *testing.T) {
	t.Parallel()
	ca := pkitest.NewCA("the authority")
	named := &x509.Certificate{DNSNames: []string{"quash.example.org"}, URIs: pkitest.URIs("spiffe://example.org/quash")}
	for name, tt := range map[string]struct {
		pair tls.Certificate
		good bool
	}{
		"of the authority":    {ca.Issue(named), true},
		"of one in between":   {ca.NewIntermediate("another").Issue(named), true},
		"of a namesake":       {pkitest.NewCA("the authority").Issue(named), false},
		"self-signed":         {pkitest.SelfSigned(named), false},
		"for another name":    {ca.Issue(&x509.Certificate{Subject: pkix.Name{CommonName: "quash.example.org"}}), false},
		"for a while ago":     {ca.Issue(&x509.Certificate{DNSNames: named.DNSNames, NotAfter: time.Now().Add(-time.Minute)}), false},
		"for later":           {ca.Issue(&x509.Certificate{DNSNames: named.DNSNames, NotBefore: time.Now().Add(time.Minute)}), false},
		"for another purpose": {ca.Issue(&x509.Certificate{DNSNames: named.DNSNames, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}), false},
	} {
		// The peer receives it as PEM, as from files.
		pair, err := tls.X509KeyPair(pkitest.PEM(tt.pair))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		intermediates := x509.NewCertPool()
		for _, der := range pair.Certificate[1:] {
			cert, err := x509.ParseCertificate(der)
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			intermediates.AddCert(cert)
		}
		roots := x509.NewCertPool()
		roots.AppendCertsFromPEM(ca.PEM())
		if !roots.Equal(pkitest.Pool(ca)) {
			t.Error("the authority's PEM is not the authority")
		}
		_, err = pair.Leaf.Verify(x509.VerifyOptions{
			Roots: roots, Intermediates: intermediates, DNSName: "quash.example.org",
			KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
		})
		if (err == nil) != tt.good {
			t.Errorf("%s: %v", name, err)
		}
	}
}

package server

import (
	"crypto/tls"
	"encoding/json"
	"net"
	"net/http"
	"time"
)

// configz is what a server says of how it runs. Facts are picked for it one by one,
// so that what is added to Config is not shown by accident.
type configz struct {
	Build     string                   `json:"build"` // where to ask for it
	LogLevel  string                   `json:"log_level"`
	Listeners map[string]listenerFacts `json:"listeners"`
	Settings  any                      `json:"settings,omitempty"`
}

// listenerFacts are what becomes of the flags at a listener.
type listenerFacts struct {
	Address string `json:"address"`
	// TLS is nil where plaintext is served.
	TLS     *tlsFacts `json:"tls"`
	Callers string    `json:"callers"`
}

type tlsFacts struct {
	MinVersion         string `json:"min_version"`
	ClientCertificates bool   `json:"client_certificates"`
	// CertificateExpires is that of the certificate in use, which a file that was
	// replaced by a bad one leaves behind.
	CertificateExpires time.Time `json:"certificate_expires,omitzero"`
}

func (t *TLS) facts() *tlsFacts {
	if t == nil {
		return nil
	}
	facts := &tlsFacts{MinVersion: tls.VersionName(t.minVersion()), ClientCertificates: t.ClientCAs != nil}
	if leaf := t.Certificate().Leaf; leaf != nil {
		facts.CertificateExpires = leaf.NotAfter
	}
	return facts
}

// serveConfigz answers with the configuration as it is now.
func (s *Server) serveConfigz(w http.ResponseWriter, _ *http.Request) {
	listener := func(l net.Listener, t *TLS, callers string) listenerFacts {
		return listenerFacts{Address: l.Addr().String(), TLS: t.facts(), Callers: callers}
	}
	now := configz{
		Build:    "/version",
		LogLevel: levelName(s.cfg.LogLevel.Level()),
		Listeners: map[string]listenerFacts{
			"grpc":  listener(s.grpcListener, s.cfg.TLS, s.cfg.callers()),
			"http":  listener(s.restListener, s.cfg.TLS, s.cfg.callers()),
			"admin": listener(s.adminListener, s.cfg.AdminTLS, "everyone"),
		},
		Settings: s.cfg.Settings,
	}
	text, err := json.MarshalIndent(now, "", "  ")
	if err != nil {
		s.cfg.Logger.Error("configuration dump failed", "err", err.Error())
		http.Error(w, "configuration dump failed", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", jsonType)
	_, _ = w.Write(append(text, '\n'))
}

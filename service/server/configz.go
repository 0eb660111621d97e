package server

import (
	"crypto/tls"
	"encoding/json"
	"net"
	"net/http"
	"time"
)

// configz is the content of /configz. It lists its fields explicitly, so that a new field of
// Config, which may be a secret, is not shown by accident.
type configz struct {
	Build     string                   `json:"build"` // the path of the version page
	LogLevel  string                   `json:"log_level"`
	Listeners map[string]listenerFacts `json:"listeners"`
	Settings  any                      `json:"settings,omitempty"`
}

// listenerFacts describe how a listener serves.
type listenerFacts struct {
	Address string `json:"address"`
	// TLS is nil for plaintext.
	TLS     *tlsFacts `json:"tls"`
	Callers string    `json:"callers"`
}

type tlsFacts struct {
	MinVersion         string `json:"min_version"`
	ClientCertificates bool   `json:"client_certificates"`
	// CertificateExpires belongs to the certificate in use. After a failed reload that is not
	// the certificate in the file.
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

// serveConfigz serves the current configuration as JSON.
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

package server

import (
	"bytes"
	"crypto/sha256"
	_ "embed" // for openapi.yaml
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"sync"
	"time"

	"go.yaml.in/yaml/v4"

	"github.com/quashdev/quash/service"
)

const openAPIPath = "/openapi.json"

//go:embed openapi.yaml
var openAPIYAML []byte

// openAPI returns openapi.yaml as JSON, because browsers cannot parse YAML.
var openAPI = sync.OnceValues(func() ([]byte, error) {
	var document any
	if err := yaml.Load(openAPIYAML, &document); err != nil {
		return nil, fmt.Errorf("openapi.yaml: %w", err)
	}
	return json.MarshalIndent(document, "", "  ")
})

// page is a static document of the REST listener. It is public and contains no secret.
type page struct {
	contentType string
	content     []byte
	etag        string
	header      http.Header
}

func newPage(contentType string, content []byte, header http.Header) *page {
	sum := sha256.Sum256(content)
	return &page{contentType, content, `"` + hex.EncodeToString(sum[:16]) + `"`, header}
}

// serve serves the page, or returns why it rejects the request.
func (p *page) serve(w http.ResponseWriter, r *http.Request) *refusal {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		return &refusal{http.StatusMethodNotAllowed, service.InvalidRequest(service.Violation{
			Field:       "method",
			Description: "must be GET or HEAD",
		})}
	}
	maps.Copy(w.Header(), p.header)
	w.Header().Set("Content-Type", p.contentType)
	// Another version of quash may serve the next request.
	w.Header().Set("Cache-Control", "no-cache")
	w.Header().Set("ETag", p.etag)
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(p.content))
	return nil
}

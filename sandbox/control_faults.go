package sandbox

import (
	"bytes"
	"net/http"
	"time"
)

// faultJSON is a [Fault] on the wire.
type faultJSON struct {
	Count   int               `json:"count,omitempty"`
	Delay   duration          `json:"delay,omitzero"`
	Apply   bool              `json:"apply,omitempty"`
	Reset   bool              `json:"reset,omitempty"`
	Status  int               `json:"status,omitempty"`
	Headers map[string]string `json:"headers,omitempty"`
	Body    string            `json:"body,omitempty"`
}

func newFaultJSON(f Fault) faultJSON {
	return faultJSON{
		Count: f.Count, Delay: duration(f.Delay), Apply: f.Apply, Reset: f.Reset,
		Status: f.Status, Headers: f.Headers, Body: f.Body,
	}
}

func (f faultJSON) fault() Fault {
	return Fault{
		Count: f.Count, Delay: time.Duration(f.Delay), Apply: f.Apply, Reset: f.Reset,
		Status: f.Status, Headers: f.Headers, Body: f.Body,
	}
}

// handleScript serves POST /_sandbox/faults: one fault, or an array of them that
// is taken whole or not at all. It answers 204.
func (s *Sandbox) handleScript(w http.ResponseWriter, r *http.Request) {
	body, err := readBody(r)
	if err != nil {
		writeError(w, err)
		return
	}
	faults, err := decodeFaults(body)
	if err != nil {
		writeError(w, err)
		return
	}
	if err := s.Script(faults...); err != nil {
		writeError(w, badRequest(err.Error()))
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

func decodeFaults(body []byte) ([]Fault, error) {
	if !bytes.HasPrefix(bytes.TrimSpace(body), []byte("[")) {
		var one faultJSON
		err := decodeControl(body, &one)
		return []Fault{one.fault()}, err
	}
	var several []faultJSON
	if err := decodeControl(body, &several); err != nil {
		return nil, err
	}
	faults := make([]Fault, len(several))
	for i, f := range several {
		faults[i] = f.fault()
	}
	return faults, nil
}

// handleFaults serves GET /_sandbox/faults: an array of what is left.
func (s *Sandbox) handleFaults(w http.ResponseWriter, _ *http.Request) {
	left := s.Faults()
	faults := make([]faultJSON, len(left))
	for i, f := range left {
		faults[i] = newFaultJSON(f)
	}
	writeJSON(w, http.StatusOK, faults)
}

// handleClearFaults serves DELETE /_sandbox/faults.
func (s *Sandbox) handleClearFaults(w http.ResponseWriter, _ *http.Request) {
	s.ClearFaults()
	w.WriteHeader(http.StatusNoContent)
}

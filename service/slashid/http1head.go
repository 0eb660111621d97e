package slashid

import "bytes"

// cutRevoked takes the head of an answer off what has been read: of one that says 204 and
// nothing that matters but the correlation id, as most do. rest is what comes after it. It
// is false of any other, and where there is doubt: http.ReadResponse knows what to make of
// that, and makes the same of these.
func cutRevoked(read []byte) (correlationID, rest []byte, ok bool) {
	line, rest, ok := bytes.Cut(read, []byte("\r\n"))
	reason, is204 := bytes.CutPrefix(line, []byte("HTTP/1.1 204 "))
	if !ok || !is204 || !isFieldValue(reason) {
		return nil, nil, false
	}
	for {
		line, rest, ok = bytes.Cut(rest, []byte("\r\n"))
		if !ok {
			return nil, nil, false
		}
		if len(line) == 0 {
			return correlationID, rest, true
		}
		name, value, ok := bytes.Cut(line, []byte(":"))
		if !ok || !isFieldName(name) || !isFieldValue(value) || matters(name) {
			return nil, nil, false
		}
		if isHeader(name, headerCorrelationID) {
			id := bytes.Trim(value, " \t")
			if len(id) == 0 || correlationID != nil {
				return nil, nil, false
			}
			correlationID = id
		}
	}
}

// matters reports whether a header says where an answer ends, whether there can be
// another, or when to ask again.
func matters(name []byte) bool {
	return isHeader(name, headerContentLength) || isHeader(name, headerTransferEncoding) ||
		isHeader(name, headerConnection) || isHeader(name, headerRetryAfter)
}

func isHeader(name []byte, h header) bool {
	return len(name) == len(h.lower) && bytes.EqualFold(name, []byte(h.lower))
}

// isFieldName is false of some that HTTP allows, and that nobody uses.
func isFieldName(name []byte) bool {
	for _, c := range name {
		if (c|0x20 < 'a' || c|0x20 > 'z') && (c < '0' || c > '9') && c != '-' {
			return false
		}
	}
	return len(name) > 0
}

// isFieldValue is false of some that HTTP allows: those that are not ASCII.
func isFieldValue(value []byte) bool {
	for _, c := range value {
		if (c < ' ' || c > '~') && c != '\t' {
			return false
		}
	}
	return true
}

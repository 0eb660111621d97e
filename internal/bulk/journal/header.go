package journal

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
)

const (
	// headerSize is a page, so that records keep to theirs.
	headerSize = 4096
	magic      = "quash revoke journal\n"
	version    = 1

	versionAt = 24
	checkAt   = 28
	termsAt   = checkAt + 16
	maxTerms  = headerSize - termsAt - 2 - 4
)

// header is what a journal begins with. On disk it is, little end first:
//
//	0     what it is, in words
//	24    the format's version
//	28    what tells whether a key is the journal's
//	44    how long the terms are, in 2 bytes, and the terms
//	4092  checksum of all that
type header struct {
	check hash
	terms string
}

func (h header) encode() []byte {
	b := make([]byte, headerSize)
	copy(b, magic)
	binary.LittleEndian.PutUint32(b[versionAt:], version)
	copy(b[checkAt:], h.check[:])
	binary.LittleEndian.PutUint16(b[termsAt:], uint16(len(h.terms))) //nolint:gosec // Bind has seen to it
	copy(b[termsAt+2:], h.terms)
	binary.LittleEndian.PutUint32(b[headerSize-4:], crc32.Checksum(b[:headerSize-4], castagnoli))
	return b
}

// readHeader returns the header of a file, or in which way that is no journal.
func readHeader(f *os.File) (header, error) {
	b := make([]byte, headerSize)
	n, err := f.ReadAt(b, 0)
	switch {
	case err != nil && !errors.Is(err, io.EOF):
		return header{}, err
	case string(b[:len(magic)]) != magic:
		return header{}, errors.New("it is not a journal of quash's, and was left as it is: name another file")
	}
	// Another version may have another header, but says so at the same place.
	if got := binary.LittleEndian.Uint32(b[versionAt:]); got != version {
		return header{}, fmt.Errorf("it has format %d, and this version of quash has format %d: "+
			"go on with the version that began it, or start over with another journal", got, version)
	}
	length := int(binary.LittleEndian.Uint16(b[termsAt:]))
	if n < headerSize || length > maxTerms ||
		binary.LittleEndian.Uint32(b[headerSize-4:]) != crc32.Checksum(b[:headerSize-4], castagnoli) {
		return header{}, errors.New("its beginning is damaged: bring an intact copy back, or start over with another journal")
	}
	return header{
		check: hash(b[checkAt:termsAt]),
		terms: string(b[termsAt+2:][:length]),
	}, nil
}

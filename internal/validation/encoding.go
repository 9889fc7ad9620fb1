package validation

import (
	"bytes"
	"compress/gzip"
	"compress/zlib"
	"errors"
	"fmt"
	"io"
	"strings"
)

// accepted are the content encodings that are looked into, as a 415 lists them
// (RFC 7694).
const accepted = "gzip, deflate"

// maxRatio is how many times larger than it was sent a body may become; one of
// up to freely bytes may be as small as it likes.
const (
	maxRatio = 100
	freely   = 64 << 10
)

// contentCoding returns the one encoding of a body: gzip, deflate, or "" for
// none. It is not ok if it is another one, or several.
func contentCoding(fields []string) (coding string, ok bool) {
	if len(fields) == 0 {
		return "", true
	}
	if len(fields) > 1 {
		return "", false
	}
	switch strings.ToLower(strings.Trim(fields[0], " \t")) {
	case "", "identity":
		return "", true
	case "gzip", "x-gzip":
		return "gzip", true
	case "deflate":
		return "deflate", true
	}
	return "", false
}

var errExpands = errors.New("too large")

// decode returns data without its encoding, of at most limit bytes, which it
// takes from s.
func decode(coding string, data []byte, limit int64, s *share) ([]byte, error) {
	from := bytes.NewReader(data)
	var decoder io.Reader
	var err error
	if coding == "gzip" {
		var z *gzip.Reader
		if z, err = gzip.NewReader(from); err == nil {
			// Of several members some read the first and others all.
			z.Multistream(false)
			decoder = z
		}
	} else {
		decoder, err = zlib.NewReader(from)
	}
	if err != nil {
		return nil, fmt.Errorf("not %s", coding)
	}
	limit = min(limit, max(freely, maxRatio*int64(len(data))))
	decoded, err := readUpTo(decoder, limit, 0, s)
	switch {
	case errors.Is(err, errExpands), errors.Is(err, errFull):
		return nil, err
	case err != nil:
		return nil, fmt.Errorf("not %s", coding)
	case from.Len() > 0:
		return nil, fmt.Errorf("something follows the end of the %s data", coding)
	}
	return decoded, nil
}

// errFull: there is no room for what is read.
var errFull = errors.New("buffers are full")

// smallest is the first buffer for a body that does not say how long it is.
const smallest = 4 << 10

// readUpTo reads all of r, of at most limit bytes, into memory that it takes
// from s as it fills it: what was only announced takes nothing. expect is how
// much will come, if that is known. What was read before an error is returned
// with it.
func readUpTo(r io.Reader, limit, expect int64, s *share) ([]byte, error) {
	most := limit + 1
	if expect > 0 {
		most = min(most, expect+1)
	}
	var data []byte
	for {
		if len(data) == cap(data) {
			next := min(max(int64(2*cap(data)), smallest), most)
			if !s.take(next - int64(cap(data))) {
				return data, errFull
			}
			data = append(make([]byte, 0, next), data...)
		}
		n, err := r.Read(data[len(data):cap(data)])
		data = data[:len(data)+n]
		switch {
		case int64(len(data)) == most:
			return data, errExpands
		case err == io.EOF:
			return data, nil
		case err != nil:
			return data, err
		}
	}
}

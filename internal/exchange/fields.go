package exchange

import (
	"net/http"
)

// Field is one header field that the upstream is to see.
type Field struct{ Name, Value string }

func hasField(fields []Field, name string) bool {
	for i := range fields {
		if fields[i].Name == name {
			return true
		}
	}
	return false
}

// AddHeader puts a field into the answer, whoever makes it.
func (r *Record) AddHeader(key, value string) {
	if _, canonical := Token(key); !canonical {
		key = http.CanonicalHeaderKey(key)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.sealed {
		if r.header == nil {
			r.header = r.usual.header[:0]
		}
		r.header = append(r.header, Field{key, value})
	}
}

// CopyHeader puts the fields that were added into dst.
func (r *Record) CopyHeader(dst http.Header) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.header) == 0 {
		return
	}
	all := make([]string, 0, len(r.header)) // one for all fields; dst may outlive r
	for i := range r.header {
		name := r.header[i].Name
		if hasField(r.header[:i], name) {
			continue
		}
		from := len(all)
		for j := i; j < len(r.header); j++ {
			if f := &r.header[j]; f.Name == name {
				all = append(all, f.Value)
			}
		}
		values := all[from:len(all):len(all)]
		if have := dst[name]; have != nil {
			values = append(have, values...)
		}
		dst[name] = values
	}
}

// Forward says what the upstream sees in header fields, whatever the client
// sent in them; an empty value: the upstream does not see the field. The
// caller must not change the fields any more.
func (r *Record) Forward(fields ...Field) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case r.sealed:
	case r.forward == nil:
		r.forward = fields[:len(fields):len(fields)]
	default:
		r.forward = append(r.forward, fields...)
	}
}

// Forwards returns what was said by Forward, in order.
func (r *Record) Forwards() []Field {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.forward[:len(r.forward):len(r.forward)]
}

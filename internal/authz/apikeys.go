package authz

import (
	"context"
	"fmt"
	"net/http"

	"sidecar/internal/exchange"
)

// apiKeys are the keys that a file lists. They are known by their hashes only.
type apiKeys struct {
	header string               // in canonical form
	keep   bool                 // the upstream sees a good one
	known  map[digest]*verified // a bad guess's hash tells nothing of a good one's
}

// newAPIKeys returns the keys in c's file. forwards tells what the upstream is
// to see of a principal.
func newAPIKeys(
	c APIKeysConfig, read func(path string) ([]byte, error), forwards func(*exchange.Principal) []exchange.Field,
) (*apiKeys, error) {
	data, err := read(c.File)
	if err != nil {
		return nil, err
	}
	entries, err := parseKeyEntries(data)
	if err != nil {
		return nil, err
	}
	k := &apiKeys{header: http.CanonicalHeaderKey(c.Header), keep: c.Forward, known: make(map[digest]*verified, len(entries))}
	for _, e := range entries {
		p := e.principal()
		k.known[e.digest] = &verified{principal: p, forward: forwards(p)}
	}
	return k, nil
}

// The length of a key, in bytes. One that is shorter is never looked up: a fast
// hash keeps only what nobody can guess.
const (
	minKey = 32
	maxKey = 256
)

func (k *apiKeys) prove(_ context.Context, r *http.Request) (*verified, *rejection) {
	fields := r.Header[k.header]
	switch {
	case len(fields) == 0:
		return nil, nil
	case len(fields) > 1:
		return nil, badKey("there is more than one %s header", k.header)
	case fields[0] == "":
		return nil, badKey("the %s header is empty", k.header)
	case len(fields[0]) > maxKey:
		return nil, badKey("the API key is longer than %d bytes", maxKey)
	case len(fields[0]) < minKey:
		return nil, badKey(unknownKey)
	}
	v, ok := k.known[digestOf(fields[0])]
	if !ok {
		return nil, badKey(unknownKey)
	}
	return v, nil
}

const unknownKey = "the API key is not known"

func badKey(format string, args ...any) *rejection {
	return &rejection{reason: exchange.APIKeyInvalid, detail: fmt.Sprintf(format, args...)}
}

// The scheme is not registered: none asks for a key in a field of its own.
func (k *apiKeys) challenge(*rejection) string {
	return `APIKey realm="sidecar", header="` + k.header + `"`
}

// shown returns what the upstream sees of the key's field, and, since it is
// said, of its other spellings: a proven key, if it is to, else nothing.
func (k *apiKeys) shown(r *http.Request, proven bool) exchange.Field {
	f := k.unproven()
	if k.keep && proven {
		f.Value = r.Header.Get(k.header)
	}
	return f
}

func (k *apiKeys) unproven() exchange.Field { return exchange.Field{Name: k.header} }

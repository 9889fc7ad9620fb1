package ratelimit

import (
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"net/netip"
	"strings"

	"sidecar/internal/exchange"
)

// key says whose bucket it is. Keys of two sources are never equal.
type key struct {
	source int // the place in Config.Key, from 1; 0 is the shared bucket
	issuer string
	value  string
	addr   netip.Addr
}

// maxValue bounds how much of a request a key keeps. A longer value is kept as
// its hash, which is longer than any value that is kept as it is.
const maxValue = 64

func (k key) bounded() key {
	if len(k.value) > maxValue {
		sum := sha256.Sum256([]byte(k.value))
		k.value = "sha256:" + hex.EncodeToString(sum[:])
	}
	return k
}

// clone lets go of the request that k was read from.
func (k key) clone() key {
	k.value = strings.Clone(k.value)
	return k
}

// source is one entry of Config.Key.
type source struct {
	text string // as it stands in the policy
	kind string
	name string // of the claim or header; else empty
}

type sources []source

func newSources(keys []string) sources {
	var ss sources
	for _, text := range keys {
		kind, name, _ := strings.Cut(text, ":")
		if kind == "header" {
			name = http.CanonicalHeaderKey(name)
		}
		ss = append(ss, source{text, kind, name})
	}
	return ss
}

// noKey is the name of the bucket of requests that have none of the keys.
const noKey = "none"

// read sets k, which is empty, to the first key that the request has, and
// returns what that is.
func (ss sources) read(k *key, record *exchange.Record, r *http.Request) (by string) {
	for i := range ss {
		if s := &ss[i]; s.read(k, record, r) {
			k.source = i + 1
			if len(k.value) > maxValue {
				*k = k.bounded()
			}
			return s.text
		}
	}
	return noKey
}

// read sets k, which is empty, to what the request has of s, and reports whether
// it has any. Nothing and an empty value are the same: else leaving the value
// out would earn a bucket of its own.
func (s *source) read(k *key, record *exchange.Record, r *http.Request) bool {
	switch s.kind {
	case "claim":
		if p := record.Principal(); p != nil {
			claim, _ := p.Claim(s.name)
			k.value, _ = exchange.Text(claim)
		}
	case "principal":
		// A subject is unique only with its issuer (RFC 7519 section 4.1.2).
		if p := record.Principal(); p != nil && p.Subject != "" {
			k.issuer, k.value = p.Issuer, p.Subject
		}
	case "ip":
		k.addr = exchange.NetworkOf(record.Client).Addr()
	case "header":
		k.value = r.Header.Get(s.name)
		if s.name == "Host" { // net/http takes it out of the header
			k.value = r.Host
		}
	case "route":
		k.value = record.Route
	}
	return k.value != "" || k.addr.IsValid()
}

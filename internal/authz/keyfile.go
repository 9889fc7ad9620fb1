package authz

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"strings"
	"unicode"

	"sidecar/internal/exchange"
)

// keyEntry is one line of a file of API keys.
type keyEntry struct {
	Name   string         `json:"name"`
	Roles  []string       `json:"roles,omitempty"`
	Hash   string         `json:"hash"`
	Claims map[string]any `json:"claims,omitempty"`

	digest digest
}

const (
	hashPrefix = "sha256:"
	keyPrefix  = "sk_" // by which people, and scanners of leaks, know a key
	maxKeyName = 128
)

// NewAPIKey returns a key that nobody can guess: 256 random bits.
func NewAPIKey() string {
	random := make([]byte, 32)
	_, _ = rand.Read(random) // it never fails
	return keyPrefix + base64.RawURLEncoding.EncodeToString(random)
}

// APIKeyEntry returns the line of a file of API keys that lets key speak for
// name, in these roles. It holds the key's hash only. The error tells what is
// wrong with name or roles, or that the key is too short to be hashed fast, too
// long, or no printable ASCII; it never holds the key.
func APIKeyEntry(key, name string, roles []string) (string, error) {
	if len(key) < minKey || len(key) > maxKey {
		return "", fmt.Errorf("key of %d bytes, must be %d to %d", len(key), minKey, maxKey)
	}
	if strings.ContainsFunc(key, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return "", errors.New("key must be printable ASCII without spaces")
	}
	d := digestOf(key)
	e := keyEntry{Name: name, Roles: roles, Hash: hashPrefix + base64.RawURLEncoding.EncodeToString(d[:])}
	if err := e.check(); err != nil {
		return "", err
	}
	line, err := json.Marshal(e)
	return string(line), err
}

// parseKeyEntries reads a file of API keys: a JSON object a line; empty lines
// are skipped. A file without any is one without keys, so that the last one can
// be taken back. The error tells the line, and nothing of what it holds.
func parseKeyEntries(data []byte) ([]keyEntry, error) {
	var entries []keyEntry
	first := map[digest]int{}
	n := 0
	for line := range bytes.Lines(data) {
		n++
		if line = bytes.TrimSpace(line); len(line) == 0 {
			continue
		}
		e, err := parseKeyEntry(line)
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", n, err)
		}
		if same, ok := first[e.digest]; ok {
			return nil, fmt.Errorf("line %d: hash is that of line %d already", n, same)
		}
		first[e.digest] = n
		entries = append(entries, e)
	}
	return entries, nil
}

func parseKeyEntry(line []byte) (keyEntry, error) {
	var e keyEntry
	decoder := json.NewDecoder(bytes.NewReader(line))
	decoder.DisallowUnknownFields()
	decoder.UseNumber()
	if decoder.Decode(&e) != nil {
		return keyEntry{}, errors.New("must be a JSON object of name and hash, and perhaps roles and claims")
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return keyEntry{}, errors.New("must be one JSON object, here begins another value")
	}
	if err := e.check(); err != nil {
		return keyEntry{}, err
	}
	hash, ok := strings.CutPrefix(e.Hash, hashPrefix)
	sum, err := base64.RawURLEncoding.Strict().DecodeString(hash)
	if !ok || err != nil || len(sum) != sha256.Size {
		return keyEntry{}, errors.New("hash must be sha256: and 43 characters of base64url")
	}
	e.digest = digest(sum)
	return e, nil
}

// check returns what is wrong with whom e speaks of.
func (e keyEntry) check() error {
	unprintable := func(r rune) bool { return !unicode.IsPrint(r) }
	if e.Name == "" || len(e.Name) > maxKeyName || strings.ContainsFunc(e.Name, unprintable) {
		return fmt.Errorf("name must be 1 to %d bytes of printable text", maxKeyName)
	}
	for _, role := range e.Roles {
		if role == "" || strings.ContainsFunc(role, unprintable) {
			return errors.New("roles must each be printable text, and not empty")
		}
	}
	return nil
}

// principal returns whom e speaks of. Its claims go by names of our own, so
// that those which the policy maps are found without a map.
func (e keyEntry) principal() *exchange.Principal {
	claims := map[string]any{}
	maps.Copy(claims, e.Claims)
	claims["name"], claims["sub"] = e.Name, e.Name
	roles := make([]any, len(e.Roles))
	for i, role := range e.Roles {
		roles[i] = role
	}
	claims[rolesName] = roles
	return &exchange.Principal{
		Subject: e.Name, Roles: e.Roles, By: exchange.ByAPIKey,
		Claims: claims, Names: map[string]string{subjectName: "name"},
	}
}

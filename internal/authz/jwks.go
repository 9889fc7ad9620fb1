package authz

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/MicahParks/jwkset"
)

// parseJWKS reads a JSON Web Key Set. A key that is not for verifying tokens
// of algs is skipped, as is one that cannot be read, so that an issuer may
// publish what we do not know yet (RFC 7517 section 5). A set without any
// usable key is an error.
func parseJWKS(data []byte, algs []string) (keys, error) {
	var set struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := json.Unmarshal(data, &set); err != nil {
		return keys{}, errors.New(`holds no JSON Web Key Set, must be {"keys": [...]}`)
	}
	ks := keys{named: true}
	var why []error
	for i, raw := range set.Keys {
		k, err := parseJWK(raw, algs)
		if errors.Is(err, errPrivate) {
			return keys{}, fmt.Errorf("keys[%d] %w", i, err)
		}
		if err != nil {
			why = append(why, fmt.Errorf("keys[%d] %w", i, err))
			continue
		}
		ks.list = append(ks.list, k)
	}
	switch {
	case len(set.Keys) == 0:
		return keys{}, errors.New("holds no keys")
	case len(ks.list) == 0:
		return keys{}, fmt.Errorf("holds no usable key: %w", why[0])
	}
	return ks, nil
}

var errPrivate = errors.New("is a private key, must be the public one: verifying needs no more")

func parseJWK(raw json.RawMessage, algs []string) (key, error) {
	var m jwkset.JWKMarshal
	if err := json.Unmarshal(raw, &m); err != nil {
		return key{}, errors.New("is no JSON Web Key")
	}
	switch {
	case m.KTY == jwkset.KtyOct:
		return key{}, errors.New("is a shared secret, which belongs into secretFile")
	case m.D != "":
		return key{}, errPrivate
	case m.USE != "" && m.USE != jwkset.UseSig:
		return key{}, fmt.Errorf("is for use %q, must be %q", m.USE, jwkset.UseSig)
	case len(m.KEYOPS) > 0 && !slices.Contains(m.KEYOPS, jwkset.KeyOpsVerify):
		return key{}, fmt.Errorf("is for key_ops %v, must be %q", m.KEYOPS, jwkset.KeyOpsVerify)
	}
	jwk, err := jwkset.NewJWKFromMarshal(m, jwkset.JWKMarshalOptions{}, jwkset.JWKValidateOptions{SkipX5UScheme: true})
	if err != nil {
		return key{}, errors.New("cannot be parsed")
	}
	return usableKey(m.KID, string(m.ALG), jwk.Key(), algs)
}

package authz

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"sidecar/internal/exchange"
)

const maxURL = 2048 // bytes

// Where an issuer publishes its metadata.
const (
	openIDMetadata = "/.well-known/openid-configuration"       // OpenID Connect Discovery 1.0 section 4
	oauthMetadata  = "/.well-known/oauth-authorization-server" // RFC 8414 section 3
)

// checkIssuerURL returns what keeps issuer from being one whose metadata can
// be found, if anything.
func checkIssuerURL(issuer string) string {
	if problem := exchange.SecureURL(issuer); problem != "" {
		return problem
	}
	if strings.Contains(issuer, "?") {
		return fmt.Sprintf("must be a URL without a query, got %q", issuer)
	}
	return ""
}

// metadataURLs returns where the metadata of issuer may be, in the order in
// which they are tried: OpenID appends to the path, OAuth goes in front of it.
func metadataURLs(issuer string) ([]string, error) {
	u, err := url.Parse(issuer)
	if err != nil {
		return nil, errors.New("the issuer is no URL")
	}
	path := strings.TrimSuffix(u.EscapedPath(), "/")
	at := u.Scheme + "://" + u.Host
	return []string{at + path + openIDMetadata, at + oauthMetadata + path}, nil
}

// discover returns the URL of the keys that the issuer's metadata tell.
func (k *KeySet) discover(ctx context.Context) (string, error) {
	at, err := metadataURLs(k.config.Issuer)
	if err != nil {
		return "", err
	}
	for _, u := range at {
		var data []byte
		data, err = k.get(ctx, u, "application/json")
		var status *statusError
		if errors.As(err, &status) && status.code == http.StatusNotFound {
			continue
		}
		if err != nil {
			return "", err
		}
		return parseMetadata(data, k.config.Issuer)
	}
	return "", err
}

// parseMetadata returns the jwks_uri of an issuer's metadata. They must name
// the issuer exactly as the policy does: else another's keys could be passed
// off as its own (OpenID Connect Discovery 1.0 section 4.3).
func parseMetadata(data []byte, issuer string) (string, error) {
	// A map, since a struct would take ISSUER for issuer.
	var members map[string]json.RawMessage
	if json.Unmarshal(data, &members) != nil {
		return "", errors.New("the answer holds no JSON object")
	}
	var name, jwksURI string
	if json.Unmarshal(members["issuer"], &name) != nil || name != issuer {
		return "", fmt.Errorf("the answer is of issuer %.128q, must be %q", name, issuer)
	}
	if json.Unmarshal(members["jwks_uri"], &jwksURI) != nil || jwksURI == "" || len(jwksURI) > maxURL {
		return "", errors.New("the answer holds no jwks_uri")
	}
	if problem := exchange.SecureURL(jwksURI); problem != "" {
		return "", fmt.Errorf("the answer's jwks_uri %s", problem)
	}
	if toLoopback(jwksURI) && !toLoopback(issuer) {
		return "", fmt.Errorf("the answer's jwks_uri must not be on this machine, where the issuer is not, got %q", jwksURI)
	}
	return jwksURI, nil
}

// toLoopback reports whether rawURL leads to this machine. An issuer elsewhere
// shall not have us call what listens here.
func toLoopback(rawURL string) bool {
	u, err := url.Parse(rawURL)
	return err == nil && exchange.Loopback(u.Hostname())
}

package authz

import (
	"errors"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"sidecar/internal/exchange"
)

// rejection is why nobody was authenticated. Its words never hold a part of
// the token but the issuer's name.
type rejection struct {
	reason exchange.Reason
	detail string // for the client; without " and \
	note   string // for the record, if it knows more

	retryAfter int // seconds, when the token could not be judged; else 0
}

func malformed(detail string) *rejection {
	return &rejection{reason: exchange.TokenMalformed, detail: detail}
}

func invalid(detail string) *rejection {
	return &rejection{reason: exchange.TokenInvalid, detail: detail}
}

// rejections are told by the first that holds. The errors' own texts are not
// repeated: they may quote the token.
var rejections = []struct {
	is     error
	detail string
}{
	{errCritical, errCritical.Error()},
	{errType, errType.Error()},
	{errNoKeyID, errNoKeyID.Error()},
	{errUnknownKey, errUnknownKey.Error()},
	{jwt.ErrTokenMalformed, errNoJWT.Error()},
	{jwt.ErrTokenSignatureInvalid, "the signature or its algorithm is not accepted"},
	{jwt.ErrTokenUnverifiable, "the algorithm of the signature is not accepted"},
	{jwt.ErrTokenRequiredClaimMissing, "the token lacks a claim: exp, iss or aud"},
	{jwt.ErrInvalidType, "a claim has the wrong type"},
	{jwt.ErrTokenInvalidIssuer, "the token is from another issuer"},
	{jwt.ErrTokenInvalidAudience, "the token is for another audience"},
	{jwt.ErrTokenNotValidYet, "the token is not valid yet"},
}

// reject returns what is told of err.
func reject(err error, claims jwt.MapClaims) *rejection {
	var none *noKeysError
	if errors.As(err, &none) {
		return none.rejection()
	}
	for _, r := range rejections {
		if errors.Is(err, r.is) {
			return invalid(r.detail)
		}
	}
	if !errors.Is(err, jwt.ErrTokenExpired) {
		return invalid("the token is not valid")
	}
	why := &rejection{reason: exchange.TokenExpired, detail: "the token has expired"}
	if exp, err := claims.GetExpirationTime(); err == nil && exp != nil {
		why.detail = "the token expired " + time.Since(exp.Time).Truncate(time.Second).String() + " ago"
	}
	return why
}

package authz

import (
	"encoding/base64"
	"encoding/json"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/google/go-cmp/cmp"

	"sidecar/internal/exchange"
)

func TestAuthnReadsTheAuthorizationHeader(t *testing.T) {
	a := authn(t, aSecret+"\r\n", bySecret)
	good := hs256(claims(nil))
	tests := []struct {
		name   string
		fields []string
		want   exchange.Reason
		says   string // of the challenge, behind the realm
	}{
		{name: "a good token", fields: []string{"Bearer " + good}},
		{name: "the scheme has no case", fields: []string{"bEARER " + good}},
		{name: "more than one space", fields: []string{"Bearer  " + good + " "}},
		{name: "two spaces", fields: []string{"Bearer  " + good}},
		{name: "a space behind", fields: []string{"Bearer " + good + " "}},
		{name: "a tab behind", fields: []string{"Bearer " + good + "\t"}},

		{name: "no header", want: exchange.TokenMissing},
		{name: "an empty header", fields: []string{""}, want: exchange.TokenMissing},
		{name: "another scheme", fields: []string{"Basic dTpw"}, want: exchange.TokenMissing},
		{name: "a scheme that begins like Bearer", fields: []string{"Bearerx " + good}, want: exchange.TokenMissing},
		{name: "a bare token", fields: []string{good}, want: exchange.TokenMissing},

		{name: "two headers", fields: []string{"Bearer " + good, "Bearer " + good}, want: exchange.TokenMalformed, says: "invalid_request"},
		{name: "two headers of two schemes", fields: []string{"Basic dTpw", "Bearer " + good}, want: exchange.TokenMalformed, says: "invalid_request"},
		{name: "no token", fields: []string{"Bearer"}, want: exchange.TokenMalformed, says: "invalid_request"},
		{name: "nothing but padding", fields: []string{"Bearer =="}, want: exchange.TokenMalformed, says: "invalid_request"},
		{name: "a tab for a space", fields: []string{"Bearer\t" + good}, want: exchange.TokenMalformed, says: "invalid_request"},
		{name: "a space of Latin 1", fields: []string{"Bearer\xa0" + good}, want: exchange.TokenMalformed, says: "invalid_request"},
		{name: "a space of Latin 1 before", fields: []string{"\xa0Bearer " + good}, want: exchange.TokenMalformed, says: "invalid_request"},
		{name: "a colon", fields: []string{"Bearer: " + good}, want: exchange.TokenMalformed, says: "invalid_request"},
		{name: "two tokens", fields: []string{"Bearer " + good + " " + good}, want: exchange.TokenMalformed, says: "invalid_request"},
		{name: "two tokens in a list", fields: []string{"Bearer " + good + ",Bearer"}, want: exchange.TokenMalformed, says: "invalid_request"},
		{name: "quotes", fields: []string{`Bearer "` + good + `"`}, want: exchange.TokenMalformed, says: "invalid_request"},

		{name: "no JWT", fields: []string{"Bearer abc"}, want: exchange.TokenInvalid, says: "invalid_token"},
		{name: "no JSON", fields: []string{"Bearer YQ.YQ.YQ"}, want: exchange.TokenInvalid, says: "invalid_token"},
		{name: "no base64", fields: []string{"Bearer a.a.a"}, want: exchange.TokenInvalid, says: "invalid_token"},
		{name: "four parts", fields: []string{"Bearer " + good + ".YQ"}, want: exchange.TokenInvalid, says: "invalid_token"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r, record := request("/", tt.fields...)
			wantAuthn(t, a.Check(r), record, tt.want, tt.says)
		})
	}
}

// wantAuthn demands that err is a refusal for reason whose challenge says
// error, or nil and a principal for no reason.
func wantAuthn(t *testing.T, err error, record *exchange.Record, reason exchange.Reason, says string) {
	t.Helper()
	if reason == "" {
		if err != nil || record.Principal() == nil {
			t.Errorf("Check() = %v, principal %v; want nil and a principal", err, record.Principal())
		}
		return
	}
	f := refusal(t, err)
	if f.Reason != reason || f.Kind != exchange.Authn || f.Policy != "users" || f.Line != 3 {
		t.Errorf("Check() = %+v, want reason %s, kind authn, policy users, line 3", f, reason)
	}
	if record.Principal() != nil {
		t.Errorf("principal = %v, want none", record.Principal())
	}
	challenge := f.Header.Get("WWW-Authenticate")
	want := `Bearer realm="sidecar"`
	if says != "" {
		want += `, error="` + says + `", error_description="` + f.Detail + `"`
	}
	if challenge != want || strings.ContainsAny(f.Detail, `"\`) {
		t.Errorf("WWW-Authenticate = %s, want %s", challenge, want)
	}
}

func TestAuthnBelievesOnlyGoodTokens(t *testing.T) {
	now := time.Now()
	in := func(d time.Duration) int64 { return now.Add(d).Unix() }
	withAudience := func(c *AuthnConfig) { bySecret(c); c.Issuers[0].Audiences = []string{"orders", "billing"} }
	a, forOrders := authn(t, aSecret, bySecret), authn(t, aSecret, withAudience)
	good := hs256(claims(nil))
	const tampered = `{"iss":"` + alice + `","sub":"root","exp":99999999999}`
	parts := strings.Split(good, ".")
	tests := []struct {
		name  string
		authn *Authn
		token string
		want  exchange.Reason
	}{
		{"no sub", a, hs256(claims(map[string]any{"sub": nil})), ""},
		{"expired within the skew", a, hs256(claims(map[string]any{"exp": in(-skew / 2)})), ""},
		{"not yet valid within the skew", a, hs256(claims(map[string]any{"nbf": in(skew / 2)})), ""},
		{"an audience that nobody asked about", a, hs256(claims(map[string]any{"aud": "x"})), ""},
		{"one of the audiences", forOrders, hs256(claims(map[string]any{"aud": []string{"x", "billing"}})), ""},
		{"a header that points to other keys", a, sign(jwt.SigningMethodHS256, []byte(aSecret), claims(nil),
			map[string]any{"jku": "https://evil.example", "x5u": "https://evil.example", "jwk": map[string]any{"kty": "oct", "k": "YQ"}, "kid": "any"}), ""},

		{"expired", a, hs256(claims(map[string]any{"exp": in(-3 * time.Minute)})), exchange.TokenExpired},
		{"no exp", a, hs256(claims(map[string]any{"exp": nil})), exchange.TokenInvalid},
		{"exp that is no number", a, hs256(claims(map[string]any{"exp": "tomorrow"})), exchange.TokenInvalid},
		{"not yet valid", a, hs256(claims(map[string]any{"nbf": in(5 * time.Minute)})), exchange.TokenInvalid},
		{"another issuer", a, hs256(claims(map[string]any{"iss": "https://evil.example/"})), exchange.IssuerUnknown},
		{"no issuer", a, hs256(claims(map[string]any{"iss": nil})), exchange.IssuerUnknown},
		{"an issuer spelled in capitals", a, hs256(claims(map[string]any{"iss": nil, "ISS": alice})), exchange.IssuerUnknown},
		{"an issuer that is a list", a, hs256(claims(map[string]any{"iss": []string{alice}})), exchange.TokenInvalid},
		{"another audience", forOrders, hs256(claims(map[string]any{"aud": "x"})), exchange.TokenInvalid},
		{"no audience", forOrders, hs256(claims(nil)), exchange.TokenInvalid},
		{"a huge token", a, hs256(claims(map[string]any{"x": strings.Repeat("x", maxToken)})), exchange.TokenInvalid},
		{"sub that is a number", a, hs256(claims(map[string]any{"sub": 7})), exchange.TokenInvalid},
		{"another audience and expired", forOrders, hs256(claims(map[string]any{"aud": "x", "exp": 1})), exchange.TokenInvalid},
		{"a critical header", a, sign(jwt.SigningMethodHS256, []byte(aSecret), claims(nil), map[string]any{"crit": []string{"b64"}}), exchange.TokenInvalid},
		{"another secret", a, sign(jwt.SigningMethodHS256, []byte(aSecret+"x"), claims(nil), nil), exchange.TokenInvalid},
		{"another algorithm of the same kind", a, sign(jwt.SigningMethodHS512, []byte(aSecret), claims(nil), nil), exchange.TokenInvalid},
		{"no signature", a, parts[0] + "." + parts[1] + ".", exchange.TokenInvalid},
		{"none", a, sign(jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, claims(nil), nil), exchange.TokenInvalid},
		{"other claims under the signature", a, parts[0] + "." + base64.RawURLEncoding.EncodeToString([]byte(tampered)) + "." + parts[2], exchange.TokenInvalid},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r, record := request("/", "Bearer "+tt.token)
			says := "invalid_token"
			err := tt.authn.Check(r)
			wantAuthn(t, err, record, tt.want, says)
			for part := range strings.SplitSeq(tt.token, ".") {
				if err != nil && len(part) > 8 && strings.Contains(err.Error()+refusal(t, err).Note, part) {
					t.Errorf("the refusal tells a part of the token: %v", err)
				}
			}
		})
	}
}

func TestAnAsymmetricKeyNeverServesAsASecret(t *testing.T) {
	file := publicPEM(rsaKey())
	a := authn(t, file, byPublicKey)
	none := sign(jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, claims(nil), nil)
	tests := []struct {
		name  string
		token string
		want  exchange.Reason
	}{
		{"RS256 with the key", sign(jwt.SigningMethodRS256, rsaKey(), claims(nil), nil), ""},
		{"RS256 with another key", sign(jwt.SigningMethodRS256, otherRSA(), claims(nil), nil), exchange.TokenInvalid},
		{"PS256, which is not listed", sign(jwt.SigningMethodPS256, rsaKey(), claims(nil), nil), exchange.TokenInvalid},
		{"ES256, which is listed, with a key of one's own", sign(jwt.SigningMethodES256, ecKey(), claims(nil), nil), exchange.TokenInvalid},
		{"HS256 with the public key as the secret", sign(jwt.SigningMethodHS256, []byte(file), claims(nil), nil), exchange.TokenInvalid},
		{"none", none, exchange.TokenInvalid},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r, record := request("/", "Bearer "+tt.token)
			wantAuthn(t, a.Check(r), record, tt.want, "invalid_token")
		})
	}
}

func TestEachIssuerHasItsOwnKeys(t *testing.T) {
	c := AuthnConfig{}
	c.SetDefaults()
	c.Issuers = []IssuerConfig{
		{Issuer: "rsa", PublicKeyFile: "rsa"},
		{Issuer: "ec", PublicKeyFile: "ec"},
		{Issuer: "hs", SecretFile: "hs"},
	}
	a, err := NewAuthn("users", c, files{"rsa": publicPEM(rsaKey()), "ec": publicPEM(ecKey()), "hs": aSecret}.read, nil)
	if err != nil {
		t.Fatal(err)
	}
	makers := map[string]func(jwt.MapClaims) string{
		"rsa": func(c jwt.MapClaims) string { return sign(jwt.SigningMethodRS256, rsaKey(), c, nil) },
		"ec":  func(c jwt.MapClaims) string { return sign(jwt.SigningMethodES256, ecKey(), c, nil) },
		"hs":  hs256,
	}
	for says := range makers {
		for signs, token := range makers {
			r, _ := request("/", "Bearer "+token(claims(map[string]any{"iss": says})))
			if got := a.Check(r) == nil; got != (says == signs) {
				t.Errorf("a token of %s signed by %s passes: %v", says, signs, got)
			}
		}
	}
}

func TestExpiryIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := authn(t, aSecret, bySecret)
		token := hs256(claims(nil)) // for a minute
		r, _ := request("/", "Bearer "+token)
		time.Sleep(time.Minute + skew - time.Nanosecond)
		if err := a.Check(r); err != nil {
			t.Errorf("Check() at the end of the skew = %v, want nil", err)
		}
		time.Sleep(3*time.Minute + time.Nanosecond)
		f := refusal(t, a.Check(r))
		if want := "the token expired 3m30s ago"; f.Reason != exchange.TokenExpired || f.Detail != want {
			t.Errorf("Check() = %v, want token_expired: %s", f, want)
		}
	})
}

func TestAuthnIdentifies(t *testing.T) {
	nested := map[string]any{"realm_access": map[string]any{"roles": []any{"reader", 7, "writer"}}, "tid": 12345678901234567, "email": "u1@example.com"}
	tests := []struct {
		name   string
		names  map[string]string
		claims map[string]any
		want   exchange.Principal
	}{
		{"roles as a list", nil, map[string]any{"roles": []string{"reader", "writer"}}, exchange.Principal{Subject: "u1", Roles: []string{"reader", "writer"}}},
		{"roles as words", nil, map[string]any{"roles": "reader writer"}, exchange.Principal{Subject: "u1", Roles: []string{"reader", "writer"}}},
		{"no roles", nil, nil, exchange.Principal{Subject: "u1"}},
		{"roles as a number", nil, map[string]any{"roles": 7}, exchange.Principal{Subject: "u1"}},
		{"mapped claims", map[string]string{"subject": "email", "roles": "realm_access.roles"}, nested, exchange.Principal{Subject: "u1@example.com", Roles: []string{"reader", "writer"}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			a := authn(t, aSecret, func(c *AuthnConfig) { bySecret(c); c.Claims = tt.names })
			r, record := request("/", "Bearer "+hs256(claims(tt.claims)))
			if err := a.Check(r); err != nil {
				t.Fatal(err)
			}
			got := *record.Principal()
			if got.Claims["iss"] != alice || got.Names["subject"] == "" {
				t.Errorf("principal = %+v, want its claims and names", got)
			}
			got.Claims, got.Names = nil, nil
			tt.want.Issuer, tt.want.By = alice, exchange.ByToken
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("principal (-want +got):\n%s", diff)
			}
		})
	}
}

func TestAuthnForwards(t *testing.T) {
	a := authn(t, aSecret, func(c *AuthnConfig) {
		bySecret(c)
		c.ForwardToken = false
		c.Claims = map[string]string{"tenant": "org.id"}
		c.ForwardClaims = map[string]string{
			"x-user": "subject", "X-Tenant": "tenant", "X-Roles": "roles", "X-Org": "org", "X-Admin": "admin",
			"X-Big": "big", "X-Exp10": "exp10", "X-Absent": "absent", "X-Evil": "evil", "X-Lists": "lists", "X-Comma": "comma",
			"X-Padded": "padded", "X-Padded-List": "paddedList",
		}
	})
	token := hs256(claims(map[string]any{
		"org": map[string]any{"id": 9007199254740993}, "roles": []any{"a", 2, true}, "admin": false,
		"big": json.Number("12345678901234567890"), "exp10": json.Number("12e3"), "evil": "a\r\nX-Admin: true",
		"lists": []any{[]any{"a"}}, "comma": []any{"user", "x,admin"},
		"padded": "root ", "paddedList": []any{"user", " admin"},
	}))
	absent := map[string]string{
		"X-Absent": "", "X-Admin": "", "X-Big": "", "X-Comma": "", "X-Evil": "", "X-Exp10": "",
		"X-Lists": "", "X-Org": "", "X-Padded": "", "X-Padded-List": "", "X-Roles": "", "X-Tenant": "", "X-User": "",
	}
	tests := []struct {
		name  string
		token string
		want  map[string]string
	}{
		{"a good token", "Bearer " + token, map[string]string{
			"X-User": "u1", "X-Tenant": "9007199254740993", "X-Roles": "a,2,true", "X-Org": "", "X-Admin": "false",
			"X-Big": "12345678901234567890", "X-Exp10": "12000", "X-Absent": "", "X-Evil": "", "X-Lists": "", "X-Comma": "",
			"X-Padded": "", "X-Padded-List": "", "Authorization": "",
		}},
		{"a bad token: only the client's copies are taken away", "Bearer " + token[:len(token)-2], absent},
		{"no token", "Basic dTpw", absent},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r, record := request("/", tt.token)
			_ = a.Check(r)
			got := map[string]string{}
			for _, f := range record.Forwards() {
				got[f.Name] = f.Value
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("forwards (-want +got):\n%s", diff)
			}
		})
	}
	t.Run("nothing unless the policy says so", func(t *testing.T) {
		r, record := request("/", "Bearer "+token)
		if err := authn(t, aSecret, bySecret).Check(r); err != nil || len(record.Forwards()) > 0 {
			t.Errorf("Check() = %v, forwards %v; want nil and none", err, record.Forwards())
		}
	})
}

func TestSign(t *testing.T) {
	token, err := Sign([]byte(aSecret+"\n"), Token{
		Subject: "u1", Roles: []string{"reader"}, Issuer: alice, Audience: "orders", TTL: time.Hour,
		Claims: map[string]any{"tenant": "acme", "sub": "root"},
	})
	if err != nil {
		t.Fatal(err)
	}
	a := authn(t, aSecret, func(c *AuthnConfig) { bySecret(c); c.Issuers[0].Audiences = []string{"orders"} })
	r, record := request("/", "Bearer "+token)
	if err := a.Check(r); err != nil {
		t.Fatalf("Check() = %v, want nil", err)
	}
	p := record.Principal()
	if tenant, _ := p.Claim("tenant"); p.Subject != "u1" || p.Roles[0] != "reader" || tenant != "acme" {
		t.Errorf("principal = %+v, want u1, reader, acme", p)
	}
	for _, claim := range []string{"iat", "nbf", "exp"} {
		if _, ok := p.Claim(claim); !ok {
			t.Errorf("claim %s is absent", claim)
		}
	}

	expired, err := Sign([]byte(aSecret), Token{Issuer: alice, TTL: -time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	r, _ = request("/", "Bearer "+expired)
	if f := refusal(t, authn(t, aSecret, bySecret).Check(r)); f.Reason != exchange.TokenExpired {
		t.Errorf("Check() = %v, want token_expired", f)
	}
	if _, err := Sign([]byte(aSecret[1:]), Token{TTL: time.Hour}); err == nil || strings.Contains(err.Error(), aSecret[1:]) {
		t.Errorf("Sign() with a short secret = %v, want an error without it", err)
	}
}

func FuzzAuthorization(f *testing.F) {
	a := authn(f, aSecret, bySecret)
	good := hs256(claims(nil))
	for _, seed := range []string{"", "Bearer", "Bearer " + good, "bearer " + good + "=", "Bearer a.b.c", "Basic YQ==", "Bearer .."} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, field string) {
		r, record := request("/", field)
		err := a.Check(r)
		if (err == nil) != (record.Principal() != nil) {
			t.Errorf("Check(%q) = %v, principal %v", field, err, record.Principal())
		}
		if err == nil && !strings.Contains(field, good[:strings.LastIndexByte(good, '.')]) {
			t.Errorf("Check(%q) = nil, want only our own token to pass", field)
		}
	})
}

// FuzzClaims signs whatever it is given: verifying must not panic on claims
// that an issuer got wrong.
func FuzzClaims(f *testing.F) {
	a := authn(f, aSecret, func(c *AuthnConfig) {
		bySecret(c)
		c.ForwardClaims = map[string]string{"X-User": "sub", "X-Roles": "roles"}
	})
	for _, seed := range []string{`{}`, `{"iss":"` + alice + `","exp":1e999,"nbf":-1e999}`, `{"iss":"` + alice + `","exp":9e18,"roles":[[],{},null,1e400,"a\u0000"]}`} {
		f.Add([]byte(`{"alg":"HS256"}`), []byte(seed))
	}
	f.Fuzz(func(t *testing.T, header, payload []byte) {
		enc := base64.RawURLEncoding.EncodeToString
		text := enc(header) + "." + enc(payload)
		sig, err := jwt.SigningMethodHS256.Sign(text, []byte(aSecret))
		if err != nil {
			t.Fatal(err)
		}
		r, record := request("/", "Bearer "+text+"."+enc(sig))
		_ = a.Check(r)
		for _, field := range record.Forwards() {
			if strings.ContainsAny(field.Value, "\r\n\x00") {
				t.Errorf("%s = %q, want no control characters", field.Name, field.Value)
			}
		}
	})
}

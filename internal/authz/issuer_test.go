package authz

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/google/go-cmp/cmp"

	"sidecar/internal/exchange"
)

func TestTypesOfTokens(t *testing.T) {
	only := func(types ...string) *Authn {
		return authn(t, aSecret, func(c *AuthnConfig) { bySecret(c); c.Issuers[0].Types = types })
	}
	loose, access, both, long := only(), only("at+jwt"), only("at+JWT", "JWT"), only("application/at+jwt")
	tests := []struct {
		name  string
		authn *Authn
		typ   any // nil: none
		want  exchange.Reason
	}{
		{"nobody asks, none", loose, nil, ""},
		{"nobody asks, any", loose, "logout+jwt", ""},
		{"nobody asks, a number", loose, 7, ""},

		{"an access token", access, "at+jwt", ""},
		{"in capitals", access, "AT+JWT", ""},
		{"with the prefix that may be left out", access, "application/at+jwt", ""},
		{"with the prefix in capitals", access, "Application/AT+jwt", ""},
		{"the prefix in the policy", long, "at+jwt", ""},
		{"the first of two", both, "at+jwt", ""},
		{"the second of two", both, "JWT", ""},

		{"a plain JWT", access, "JWT", exchange.TokenInvalid},
		{"an ID token's", access, "id+jwt", exchange.TokenInvalid},
		{"none", access, nil, exchange.TokenInvalid},
		{"an empty one", access, "", exchange.TokenInvalid},
		{"a number", access, 7, exchange.TokenInvalid},
		{"a list", access, []string{"at+jwt"}, exchange.TokenInvalid},
		{"another tree of types", access, "text/at+jwt", exchange.TokenInvalid},
		{"more behind it", access, "at+jwt;x", exchange.TokenInvalid},
		{"neither of two", both, "dpop+jwt", exchange.TokenInvalid},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			token := jwt.NewWithClaims(jwt.SigningMethodHS256, claims(nil))
			if delete(token.Header, "typ"); tt.typ != nil {
				token.Header["typ"] = tt.typ
			}
			r, record := request("/", "Bearer "+must(token.SignedString([]byte(aSecret))))
			wantAuthn(t, tt.authn.Check(r), record, tt.want, "invalid_token")
		})
	}
}

func TestWhereAnIssuersKeysAreFrom(t *testing.T) {
	const list = "must have exactly one of secretFile, publicKeyFile, jwksFile, jwksURL and introspection, got "
	asked := func() *IntrospectionConfig { return &IntrospectionConfig{} }
	tests := []struct {
		name string
		c    IssuerConfig
		want []string
	}{
		{"a file", IssuerConfig{Issuer: "a", JWKSFile: "k"}, nil},
		{"discovery", IssuerConfig{Issuer: "https://id.example.com/realms/a"}, nil},
		{"discovery on this machine", IssuerConfig{Issuer: "http://127.0.0.1:8080"}, nil},
		{"discovery, and how the keys are kept", IssuerConfig{Issuer: "https://id.example.com", JWKS: &JWKSConfig{}}, nil},
		{"introspection", IssuerConfig{Issuer: "opaque", Introspection: asked()}, nil},

		{"discovery by a bare name", IssuerConfig{Issuer: "a"}, []string{": " + list + `0; without, issuer must be an https URL, or an http one to this machine, got "a"`}},
		{"discovery in the clear", IssuerConfig{Issuer: "http://id.example.com"}, []string{": " + list + `0; without, issuer must be an https URL, or an http one to this machine, got "http://id.example.com"`}},
		{"discovery with a query", IssuerConfig{Issuer: "https://id.example.com?a"}, []string{": " + list + `0; without, issuer must be a URL without a query, got "https://id.example.com?a"`}},
		{"two sources", IssuerConfig{Issuer: "a", JWKSFile: "k", Introspection: asked()}, []string{": " + list + "2"}},
		{"keys in a file that are refreshed", IssuerConfig{Issuer: "a", JWKSFile: "k", JWKS: &JWKSConfig{}}, []string{"jwks: has a meaning only with jwksURL, or where keys are discovered"}},
		{"introspection and how keys are kept", IssuerConfig{Issuer: "a", Introspection: asked(), JWKS: &JWKSConfig{}}, []string{"jwks: has a meaning only with jwksURL, or where keys are discovered"}},
		{"introspection and what only a JWT has", IssuerConfig{Issuer: "a", Introspection: asked(), Algorithms: []string{"RS256"}, Types: []string{"JWT"}}, []string{
			"algorithms: has no meaning with introspection", "types: has no meaning with introspection",
		}},
		{"a type without a name", IssuerConfig{Issuer: "a", JWKSFile: "k", Types: []string{"JWT", "application/"}}, []string{
			`types[1]: must be what the typ header says, such as at+jwt, got "application/"`,
		}},
		{"HS beside public keys", IssuerConfig{Issuer: "https://id.example.com", Algorithms: []string{"RS256", "HS256"}}, []string{
			`algorithms[1]: must be one of [RS256 RS384 RS512 PS256 PS384 PS512 ES256 ES384 ES512 EdDSA] with a public key, got "HS256"`,
		}},
		{"none", IssuerConfig{Issuer: "https://id.example.com", Algorithms: []string{"none"}}, []string{
			`algorithms[0]: must be one of [RS256 RS384 RS512 PS256 PS384 PS512 ES256 ES384 ES512 EdDSA] with a public key, got "none"`,
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var got []string
			tt.c.validate(func(field, problem string) { got = append(got, field+": "+problem) })
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("validate() (-want +got):\n%s", diff)
			}
		})
	}
}

func TestOneIssuerIsAskedAboutOpaqueTokens(t *testing.T) {
	var c AuthnConfig
	c.SetDefaults()
	c.Issuers = []IssuerConfig{
		{Issuer: "https://id.example.com"},
		{Issuer: "https://id.example.com", Introspection: &IntrospectionConfig{}}, // its opaque tokens beside its JWTs
		{Issuer: "other", Introspection: &IntrospectionConfig{}},
	}
	var got []string
	c.Validate(func(field, problem string) { got = append(got, field+": "+problem) })
	want := []string{"issuers[2].introspection: must stand at one issuer of the policy: an opaque token does not say whose it is"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("Validate() (-want +got):\n%s", diff)
	}
}

// FuzzTypes signs whatever header it is given: only the one type passes.
func FuzzTypes(f *testing.F) {
	a := authn(f, aSecret, func(c *AuthnConfig) { bySecret(c); c.Issuers[0].Types = []string{"at+jwt"} })
	for _, seed := range []string{`{"alg":"HS256","typ":"at+jwt"}`, `{"alg":"HS256","typ":"APPLICATION/AT+JWT"}`, `{"alg":"HS256","TYP":"at+jwt"}`, `{"alg":"HS256","typ":["at+jwt"]}`} {
		f.Add(seed)
	}
	payload := base64.RawURLEncoding.EncodeToString(must(json.Marshal(claims(map[string]any{"nbf": nil, "exp": 1 << 40}))))
	f.Fuzz(func(t *testing.T, header string) {
		text := base64.RawURLEncoding.EncodeToString([]byte(header)) + "." + payload
		sig := must(jwt.SigningMethodHS256.Sign(text, []byte(aSecret)))
		r, _ := request("/", "Bearer "+text+"."+base64.RawURLEncoding.EncodeToString(sig))
		var members map[string]any
		_ = json.Unmarshal([]byte(header), &members)
		typ, _ := members["typ"].(string)
		right := strings.EqualFold(typ, "at+jwt") || strings.EqualFold(typ, "application/at+jwt")
		if err := a.Check(r); err == nil && !right {
			t.Errorf("a token with the header %q passes", header)
		}
	})
}

// Who verifies a token is read as exactly as who verifies it reads it.
func TestWhoseATokenIs(t *testing.T) {
	c := AuthnConfig{}
	c.SetDefaults()
	c.Issuers = []IssuerConfig{{Issuer: "ours", SecretFile: "key"}, {Issuer: "theirs", SecretFile: "key"}}
	a, err := NewAuthn("users", c, files{"key": aSecret}.read, nil)
	if err != nil {
		t.Fatal(err)
	}
	exp := fmt.Sprintf(`,"exp":%d`, time.Now().Add(time.Minute).Unix())
	tests := []struct {
		name    string
		payload string
		want    string // the issuer, or why there is none
	}{
		{"as usual", `{"iss":"ours"` + exp + `}`, "ours"},
		{"in the middle", `{"x":{"iss":"theirs"},"iss":"ours"` + exp + `}`, "ours"},
		{"written with an escape", `{"\u0069ss":"ours"` + exp + `}`, "ours"},
		{"a stranger in other letters", `{"iss":"ours","ISS":"theirs"` + exp + `}`, "ours"},
		{"a stranger in other letters before", `{"Iss":"theirs","iss":"ours"` + exp + `}`, "ours"},
		{"in other letters only", `{"ISS":"ours"` + exp + `}`, "the token's issuer is not trusted"},
		{"two", `{"iss":"ours","iss":"theirs"` + exp + `}`, errTwoIssuers.Error()},
		{"the same twice", `{"iss":"ours","iss":"ours"` + exp + `}`, errTwoIssuers.Error()},
		{"two, one with an escape", `{"iss":"ours","\u0069ss":"theirs"` + exp + `}`, errTwoIssuers.Error()},
		{"none", `{"sub":"u"` + exp + `}`, "the token's issuer is not trusted"},
		{"a number", `{"iss":7` + exp + `}`, errNoJWT.Error()},
		{"a list", `["iss","ours"]`, errNoJWT.Error()},
		{"an object that does not end", `{"iss":"ours"` + exp, errNoJWT.Error()},
		{"two objects", `{"iss":"ours"` + exp + `}{}`, errNoJWT.Error()},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r, record := request("/", "Bearer "+signed(tt.payload))
			var got string
			if err := a.Check(r); err != nil {
				got = refusal(t, err).Detail
			} else {
				got = record.Principal().Issuer
			}
			if got != tt.want {
				t.Errorf("%s: %q, want %q", tt.payload, got, tt.want)
			}
		})
	}
}

// signed returns a token with this payload, byte for byte.
func signed(payload string) string {
	text := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"HS256"}`)) + "." + base64.RawURLEncoding.EncodeToString([]byte(payload))
	sum := must(jwt.SigningMethodHS256.Sign(text, []byte(aSecret)))
	return text + "." + base64.RawURLEncoding.EncodeToString(sum)
}

package authz

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"sidecar/internal/exchange"
)

// aKey is that of nightly in aKeyFile.
const aKey = "sk_0123456789abcdef0123456789abcdef0123456789A"

var aKeyFile = must(APIKeyEntry(aKey, "nightly", []string{"reader"})) + "\n"

// accepting returns a policy that accepts tokens of alice, the keys in
// aKeyFile and client certificates, unless with takes some of them away.
func accepting(t testing.TB, with func(c *AuthnConfig)) *Authn {
	t.Helper()
	c := AuthnConfig{Line: 3}
	c.SetDefaults()
	c.Issuers = []IssuerConfig{{Issuer: alice, SecretFile: "key"}}
	c.APIKeys = &APIKeysConfig{}
	c.APIKeys.SetDefaults()
	c.APIKeys.File = "keys"
	c.ClientCertificates = true
	with(&c)
	a, err := NewAuthn("users", c, files{"key": aSecret, "keys": aKeyFile}.read, nil)
	if err != nil {
		t.Fatalf("NewAuthn() = %v, want nil", err)
	}
	return a
}

func everything(*AuthnConfig)         {}
func optional(c *AuthnConfig)         { c.Optional = true }
func tokensOnly(c *AuthnConfig)       { c.APIKeys, c.ClientCertificates = nil, false }
func keysOnly(c *AuthnConfig)         { c.Issuers, c.ClientCertificates = nil, false }
func certificatesOnly(c *AuthnConfig) { c.Issuers, c.APIKeys = nil, nil }

func inOrder(words ...string) func(*AuthnConfig) {
	return func(c *AuthnConfig) { c.Order = words }
}

// showing returns a request that shows what each of shows puts into it.
func showing(shows ...func(*http.Request)) (*http.Request, *exchange.Record) {
	r, record := request("/")
	for _, show := range shows {
		show(r)
	}
	return r, record
}

func shows(name, value string) func(*http.Request) {
	return func(r *http.Request) { r.Header.Add(name, value) }
}

var (
	goodToken = func(r *http.Request) { shows("Authorization", "Bearer "+hs256(claims(nil)))(r) }
	badToken  = shows("Authorization", "Bearer abc")
	basic     = shows("Authorization", "Basic dTpw")
	goodKey   = shows("X-API-Key", aKey)
	badKeyOf  = shows("X-API-Key", strings.ToLower(aKey))
	goodPeer  = func(r *http.Request) { r.TLS = peer(certificateOf("spiffe://cluster.local/ns/jobs/sa/nightly")) }
	badPeer   = func(r *http.Request) { r.TLS = peer(certificateOf("spiffe://a/b", "spiffe://a/c")) }
)

func TestTheFirstCredentialThatIsShownDecides(t *testing.T) {
	const token, key, peer = exchange.ByToken, exchange.ByAPIKey, exchange.ByClientCertificate
	type request = []func(*http.Request)
	tests := []struct {
		name  string
		with  func(*AuthnConfig)
		shows request
		by    string          // who is believed
		want  exchange.Reason // or why nobody is
	}{
		{name: "a token", with: everything, shows: request{goodToken}, by: token},
		{name: "a key", with: everything, shows: request{goodKey}, by: key},
		{name: "a certificate", with: everything, shows: request{goodPeer}, by: peer},
		{name: "all of them", with: everything, shows: request{goodToken, goodKey, goodPeer}, by: token},
		{name: "a key and a certificate", with: everything, shows: request{goodKey, goodPeer}, by: key},
		{name: "another scheme is no token", with: everything, shows: request{basic, goodKey}, by: key},
		{name: "an order of one's own", with: inOrder(peer, key, token), shows: request{goodToken, goodKey, goodPeer}, by: peer},
		{name: "what comes behind is not looked at", with: inOrder(key, token, peer), shows: request{badToken, goodKey, badPeer}, by: key},

		{name: "a bad token and a good key", with: everything, shows: request{badToken, goodKey}, want: exchange.TokenInvalid},
		{name: "a bad token and a good certificate", with: everything, shows: request{badToken, goodPeer}, want: exchange.TokenInvalid},
		{name: "a bad key and a good certificate", with: everything, shows: request{badKeyOf, goodPeer}, want: exchange.APIKeyInvalid},
		{name: "a bad key before a good token", with: inOrder(key, token, peer), shows: request{goodToken, badKeyOf}, want: exchange.APIKeyInvalid},
		{name: "a bad certificate", with: everything, shows: request{badPeer}, want: exchange.CertificateInvalid},
		{name: "none", with: everything, want: exchange.CredentialMissing},
		{name: "none, where only keys are accepted", with: keysOnly, want: exchange.CredentialMissing},
		{name: "none, where only tokens are accepted", with: tokensOnly, want: exchange.TokenMissing},
		{name: "a key, where only tokens are accepted", with: tokensOnly, shows: request{goodKey}, want: exchange.TokenMissing},
		{name: "a token, where only keys are accepted", with: keysOnly, shows: request{goodToken}, want: exchange.CredentialMissing},
		{name: "a key, where only certificates are accepted", with: certificatesOnly, shows: request{goodKey}, want: exchange.CredentialMissing},

		{name: "optional: none", with: optional},
		{name: "optional: another scheme", with: optional, shows: request{basic}},
		{name: "optional: a good key", with: optional, shows: request{goodKey}, by: key},
		{name: "optional: a bad token", with: optional, shows: request{badToken}, want: exchange.TokenInvalid},
		{name: "optional: a bad key", with: optional, shows: request{badKeyOf}, want: exchange.APIKeyInvalid},
		{name: "optional: a bad certificate", with: optional, shows: request{badPeer}, want: exchange.CertificateInvalid},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r, record := showing(tt.shows...)
			err := accepting(t, tt.with).Check(r)
			if tt.want != "" {
				f := refusal(t, err)
				if f.Reason != tt.want || f.Kind != exchange.Authn || f.Line != 3 || record.Principal() != nil {
					t.Errorf("Check() = %+v, principal %v; want %s and none", f, record.Principal(), tt.want)
				}
				return
			}
			by := ""
			if p := record.Principal(); p != nil {
				by = p.By
			}
			if err != nil || by != tt.by {
				t.Errorf("Check() = %v, proven by %q; want nil, %q", err, by, tt.by)
			}
		})
	}
}

func TestA401AsksForWhatIsAccepted(t *testing.T) {
	const token, key, peer = `Bearer realm="sidecar"`, `APIKey realm="sidecar", header="X-Api-Key"`, `ClientCertificate realm="sidecar"`
	tests := []struct {
		name  string
		with  func(*AuthnConfig)
		shows func(*http.Request)
		want  []string
	}{
		{"tokens only", tokensOnly, basic, []string{token}},
		{"keys only", keysOnly, basic, []string{key}},
		{"certificates only", certificatesOnly, basic, []string{peer}},
		{"all", everything, basic, []string{token, key, peer}},
		{"in their order", inOrder("clientCertificate", "apiKey", "token"), basic, []string{peer, key, token}},
		{"a bad token is told of", everything, badToken, []string{token + `, error="invalid_token", error_description="the token is not a JWT"`, key, peer}},
		{"a bad key is not a bad token", everything, badKeyOf, []string{token, key, peer}},
		{"nor is a bad certificate", everything, badPeer, []string{token, key, peer}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r, _ := showing(tt.shows)
			got := refusal(t, accepting(t, tt.with).Check(r)).Header.Values("WWW-Authenticate")
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("WWW-Authenticate (-want +got):\n%s", diff)
			}
		})
	}
}

// Of what a request shows, the upstream sees only what was verified.
func TestWhatTheUpstreamSeesOfCredentials(t *testing.T) {
	const gone = ""
	keyFirst := inOrder("apiKey", "token", "clientCertificate")
	keep := func(c *AuthnConfig) { c.APIKeys.Forward = true }
	type request = []func(*http.Request)
	tests := []struct {
		name  string
		with  []func(*AuthnConfig)
		shows request
		want  map[string]string // what is not named is as the client sent it
	}{
		{"a token, and no key beside it", nil, request{goodToken}, map[string]string{"X-Api-Key": gone}},
		{"a token, and a key beside it", nil, request{goodToken, goodKey}, map[string]string{"X-Api-Key": gone}},
		{"a token, and a key that was not looked at", []func(*AuthnConfig){keep}, request{goodToken, goodKey}, map[string]string{"X-Api-Key": gone}},
		{"a key", nil, request{goodKey}, map[string]string{"X-Api-Key": gone}},
		{"a key that is forwarded", []func(*AuthnConfig){keep}, request{goodKey}, map[string]string{"X-Api-Key": aKey}},
		{"a key, and a token that was not looked at", []func(*AuthnConfig){keyFirst}, request{goodKey, goodToken}, map[string]string{"X-Api-Key": gone, "Authorization": gone}},
		{"a key, and two tokens", []func(*AuthnConfig){keyFirst}, request{goodKey, goodToken, badToken}, map[string]string{"X-Api-Key": gone, "Authorization": gone}},
		{"a key, and what the upstream asks for itself", nil, request{goodKey, basic}, map[string]string{"X-Api-Key": gone}},
		{"a key, and a token that is none of ours", []func(*AuthnConfig){keysOnly}, request{goodKey, goodToken}, map[string]string{"X-Api-Key": gone}},
		{"a key, where Authorization is not forwarded", []func(*AuthnConfig){withoutToken}, request{goodKey, basic}, map[string]string{"X-Api-Key": gone, "Authorization": gone}},
		{"nobody", []func(*AuthnConfig){optional}, nil, map[string]string{"X-Api-Key": gone}},
		{"nobody, where keys are forwarded", []func(*AuthnConfig){optional, keep}, nil, map[string]string{"X-Api-Key": gone}},
		{"nobody, where Authorization is not forwarded", []func(*AuthnConfig){optional, withoutToken}, request{basic}, map[string]string{"X-Api-Key": gone, "Authorization": gone}},
		{"a bad key, should someone let it by", nil, request{badKeyOf}, map[string]string{"X-Api-Key": gone}},
		{"a bad key that is forwarded, likewise", []func(*AuthnConfig){keep}, request{badKeyOf}, map[string]string{}},
		{"a certificate", nil, request{goodPeer}, map[string]string{"X-Api-Key": gone}},
		{"who it is", []func(*AuthnConfig){telling}, request{goodKey}, map[string]string{"X-Api-Key": gone, "X-User": "nightly", "X-Roles": "reader"}},
		{"whose certificate it is", []func(*AuthnConfig){telling}, request{goodPeer}, map[string]string{"X-Api-Key": gone, "X-User": "spiffe://cluster.local/ns/jobs/sa/nightly", "X-Roles": gone}},
		{"that it is nobody", []func(*AuthnConfig){telling, optional}, nil, map[string]string{"X-Api-Key": gone, "X-User": gone, "X-Roles": gone}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r, record := showing(tt.shows...)
			_ = accepting(t, func(c *AuthnConfig) {
				for _, with := range tt.with {
					with(c)
				}
			}).Check(r)
			got := map[string]string{}
			for _, f := range record.Forwards() {
				got[f.Name] = f.Value
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("forwards (-want +got):\n%s", diff)
			}
		})
	}
}

func withoutToken(c *AuthnConfig) { c.ForwardToken = false }

// telling maps roles to where only a token has them.
func telling(c *AuthnConfig) {
	c.Claims = map[string]string{"roles": "realm_access.roles"}
	c.ForwardClaims = map[string]string{"X-User": "subject", "X-Roles": "roles"}
}

// Rules that ask for a principal do not match who has none.
func TestTheAnonymousHaveNoRole(t *testing.T) {
	rules := New("rules", Config{Default: Deny, Rules: []RuleConfig{
		{Effect: Allow, When: When{Principals: []string{"*"}}},
		{Effect: Allow, When: When{Methods: []string{"HEAD"}}},
	}}, nil)
	tests := []struct {
		name   string
		method string
		shows  []func(*http.Request)
		want   bool
	}{
		{"somebody", "GET", []func(*http.Request){goodKey}, true},
		{"nobody", "GET", nil, false},
		{"nobody, where the rule asks for none", "HEAD", nil, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := httptest.NewRequest(tt.method, "/", nil)
			r = r.WithContext(exchange.With(r.Context(), &exchange.Record{}))
			for _, show := range tt.shows {
				show(r)
			}
			if err := accepting(t, optional).Check(r); err != nil {
				t.Fatalf("Authn.Check() = %v, want nil", err)
			}
			if got := rules.Check(r) == nil; got != tt.want {
				t.Errorf("Authz.Check() allows: %v, want %v", got, tt.want)
			}
		})
	}
}

// A token with more to it would help who was refused, unless none was shown.
func TestA403AsksForMoreOfATokenOnly(t *testing.T) {
	rules := New("rules", Config{Default: Deny}, nil)
	for name, show := range map[string]func(*http.Request){"token": goodToken, "key": goodKey, "certificate": goodPeer} {
		r, _ := showing(show)
		if err := accepting(t, everything).Check(r); err != nil {
			t.Fatal(err)
		}
		got := refusal(t, rules.Check(r)).Header.Get("WWW-Authenticate")
		if (got != "") != (name == "token") {
			t.Errorf("WWW-Authenticate with a %s = %q, want one with a token only", name, got)
		}
	}
}

func TestCredentialsAreConfigured(t *testing.T) {
	tests := []struct {
		name string
		with func(*AuthnConfig)
		want []string
	}{
		{"all", everything, nil},
		{"certificates only", certificatesOnly, nil},
		{"an order that names more than there is", func(c *AuthnConfig) { keysOnly(c); inOrder("apiKey", "token")(c) }, nil},
		{"nothing", func(c *AuthnConfig) { keysOnly(c); c.APIKeys = nil }, []string{
			": must accept a credential: issuers, apiKeys or clientCertificates",
		}},
		{"no file", func(c *AuthnConfig) { c.APIKeys.File = "" }, []string{"apiKeys.file: must name the file that lists the keys"}},
		{"a header that is none", func(c *AuthnConfig) { c.APIKeys.Header = "X Key" }, []string{`apiKeys.header: must be a header name, got "X Key"`}},
		{"the header of tokens", func(c *AuthnConfig) { c.APIKeys.Header = "authorization" }, []string{
			`apiKeys.header: must be a field of its own such as X-API-Key, got "authorization"`,
		}},
		{"the header of cookies", func(c *AuthnConfig) { c.APIKeys.Header = "cookie" }, []string{
			`apiKeys.header: must be a field of its own such as X-API-Key, got "cookie"`,
		}},
		{"a claim that frames the message", func(c *AuthnConfig) { c.ForwardClaims = map[string]string{"transfer-encoding": "subject"} }, []string{
			"forwardClaims.transfer-encoding: cannot be set from a claim",
		}},
		{"a header that tells a claim", func(c *AuthnConfig) { c.ForwardClaims = map[string]string{"x-api-key": "subject"} }, []string{
			"forwardClaims.x-api-key: is where apiKeys are shown",
		}},
		{"an order that leaves one out", inOrder("apiKey", "token"), []string{"order: must name clientCertificate, which the policy accepts"}},
		{"an order that says it twice, and wrong", inOrder("token", "token", "key", "apiKey", "clientCertificate"), []string{
			`order[1]: is there already: "token"`,
			`order[2]: must be one of [token apiKey clientCertificate], got "key"`,
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := AuthnConfig{}
			c.SetDefaults()
			c.Issuers = []IssuerConfig{{Issuer: alice, SecretFile: "key"}}
			c.APIKeys = &APIKeysConfig{Header: "X-API-Key", File: "keys"}
			c.ClientCertificates = true
			tt.with(&c)
			var got []string
			c.Validate(func(field, problem string) { got = append(got, field+": "+problem) })
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("problems (-want +got):\n%s", diff)
			}
		})
	}
}

// A file of keys that is bad is told beside the others that are.
func TestABadFileOfKeysIsAProblem(t *testing.T) {
	c := AuthnConfig{Issuers: []IssuerConfig{{Issuer: alice, SecretFile: "key"}}, APIKeys: &APIKeysConfig{Header: "X-API-Key", File: "keys"}}
	_, err := NewAuthn("users", c, files{"key": "short", "keys": "hunter2"}.read, nil)
	var joined interface{ Unwrap() []error }
	if !errors.As(err, &joined) || len(joined.Unwrap()) != 2 {
		t.Fatalf("NewAuthn() = %v, want two problems", err)
	}
	want := "apiKeys.file: line 1: must be a JSON object of name and hash, and perhaps roles and claims"
	if got := joined.Unwrap()[1].Error(); got != want {
		t.Errorf("NewAuthn() = %s, want %s", got, want)
	}
}

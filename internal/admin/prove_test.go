package admin

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"sidecar/internal/exchange"
)

// every is each thing that admin does, changes behind looks.
var every = []struct {
	line, body string
	changes    bool
}{
	{"GET /routes", "", false},
	{"GET /policies", "", false},
	{"GET /config", "", false},
	{"GET /decisions", "", false},
	{"GET /breakers", "", false},
	{"GET /faults/chaos", "", false},
	{"OPTIONS /faults", "", false},
	{"GET /nothing", "", false},
	{"POST /breakers/standard@app", `{"state": "open"}`, true},
	{"PUT /faults/chaos", "", true},
	{"DELETE /faults/chaos", "", true},
	{"POST /-/reload", "", true},
	{"POST /nothing", "", true},
	{"BREW /breakers", "", true},
}

func TestToken(t *testing.T) {
	const loopback, network = "127.0.0.1:9901", "10.0.0.5:9901"
	raw := func(fields ...string) func(*http.Request) {
		return func(r *http.Request) { r.Header["Authorization"] = fields }
	}
	// What is let by: nothing, looks only, or all.
	const nothing, looking, all = 0, 1, 2
	tests := []struct {
		name, policy, listen string
		send                 func(*http.Request)
		by                   int
	}{
		{"no token is needed on loopback", shop, loopback, nil, all},
		{"on localhost", shop, "localhost:9901", nil, all},
		{"on IPv6 loopback", shop, "[::1]:9901", nil, all},
		{"what is not needed is not looked at", shop, loopback, bearing("anything"), all},
		{"looks need none on loopback", guarded, loopback, nil, looking},
		{"the token", guarded, loopback, bearing(secret), all},
		{"the scheme in another case", guarded, loopback, raw("bEARER " + secret), all},
		{"a wrong token", guarded, loopback, bearing("correct-horse-battery-staple-9001"), looking},
		{"half of it", guarded, loopback, bearing(secret[:20]), looking},
		{"more than it", guarded, loopback, bearing(secret + "0"), looking},
		{"in another case", guarded, loopback, bearing(strings.ToUpper(secret)), looking},
		{"an empty one", guarded, loopback, bearing(""), looking},
		{"no scheme", guarded, loopback, raw(secret), looking},
		{"another scheme", guarded, loopback, raw("Basic " + secret), looking},
		{"two of them", guarded, loopback, raw("Bearer "+secret, "Bearer "+secret), looking},
		{"two spaces", guarded, loopback, raw("Bearer  " + secret), looking},

		{"on a network, looks need it too", guarded, network, nil, nothing},
		{"everywhere", guarded, ":9901", nil, nothing},
		{"at a name", guarded, "admin.example:9901", nil, nothing},
		{"the token, on a network", guarded, network, bearing(secret), all},
		{"a wrong token, on a network", guarded, network, bearing("wrong"), nothing},
		{"a policy that lost its token opens nothing", shop, network, nil, nothing},
		{"nor to an empty token", shop, network, bearing(""), nothing},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			h := newShop(t)
			h.Listen = tt.listen
			h.reload = func(exchange.Who) (Change, error) { return Change{}, nil }
			h.apply(t, tt.policy)
			for _, e := range every {
				a := ask(t, h.Handler(), // a new one, which remembers no guesses
					e.line, e.body, func(r *http.Request) {
						if tt.send != nil {
							tt.send(r)
						}
					})
				refused := tt.by == nothing || tt.by == looking && e.changes
				if (a.status == http.StatusUnauthorized) != refused {
					t.Errorf("%s: %d, want it refused: %v", e.line, a.status, refused)
				}
				if challenge := a.header.Get("WWW-Authenticate"); strings.HasPrefix(challenge, "Bearer ") != refused {
					t.Errorf("%s: WWW-Authenticate: %q, want it with a 401 and only there", e.line, challenge)
				}
			}
			if told := h.told(); tt.by != all && told != nil {
				t.Errorf("without the token something changed: %q", told)
			}
		})
	}
}

// What a HEAD answers stays as hidden as what a GET does.
func TestTokenOfHead(t *testing.T) {
	h := newShop(t)
	h.Listen = "10.0.0.5:9901"
	h.apply(t, guarded)
	if a := ask(t, h.Handler(), "HEAD /config", ""); a.status != http.StatusUnauthorized {
		t.Errorf("HEAD /config: %d, want 401", a.status)
	}
}

// A token that a reload brings holds from then on, and the one before it does
// not.
func TestTokenFollowsThePolicy(t *testing.T) {
	h := newShop(t)
	admin := h.Handler()
	steps := []struct {
		policy string
		send   string
		status int
	}{
		{shop, "", 200},
		{guarded, "", 401},
		{guarded, secret, 200},
		{strings.Replace(guarded, "${SECRET}", "${OTHER}", 1), secret, 401},
		{strings.Replace(guarded, "${SECRET}", "${OTHER}", 1), other, 200},
		{shop, "", 200},
	}
	for i, s := range steps {
		h.apply(t, s.policy)
		if a := ask(t, admin, "DELETE /faults/chaos", "", bearing(s.send)); a.status != s.status {
			t.Errorf("step %d: %d, want %d", i, a.status, s.status)
		}
	}
}

// A change is told under the name of the credential, never under the token.
func TestChangesNameTheCredential(t *testing.T) {
	h := newShop(t)
	h.apply(t, guarded)
	var whos []string
	h.reload = func(who exchange.Who) (Change, error) {
		whos = append(whos, who.String())
		return Change{}, nil
	}
	a := ask(t, h.Handler(), "PUT /faults/chaos", "", bearing(secret))
	if want := "adminToken from 127.0.0.7"; a.doc["setBy"] != want {
		t.Errorf("setBy %v, want %s", a.doc["setBy"], want)
	}
	if got, want := h.told(), []string{"adminToken from 127.0.0.7: fault chaos: off -> on"}; !slices.Equal(got, want) {
		t.Errorf("told %q, want %q", got, want)
	}
	ask(t, h.Handler(), "POST /-/reload", "", bearing(secret))
	if want := []string{"adminToken from 127.0.0.7"}; !slices.Equal(whos, want) {
		t.Errorf("the reload is asked for by %q, want %q", whos, want)
	}
}

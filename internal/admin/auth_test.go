package admin

import (
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"sidecar/internal/exchange"
	"sidecar/internal/policy"
)

// The tokens of the policy below, by the name of their file.
var tokenFiles = map[string]string{
	"key": secret, "look": "viewer-viewer-viewer", "change": "operator-operator-operator",
}

// withAuth returns a shop whose admin has the section auth.
func withAuth(t *testing.T, auth string) *house {
	t.Helper()
	h := newHouse(t)
	o := options()
	files := pems(t)
	o.ReadFile = func(name string) ([]byte, error) {
		if data, ok := files[name]; ok {
			return data, nil
		}
		return []byte(tokenFiles[name] + "\n"), nil
	}
	f, err := policy.Parse("shop.yaml", []byte(shop+"\nserver: {"+auth+"}\n"), o)
	if err != nil {
		t.Fatal(err)
	}
	if err := h.Proxy.Apply(f); err != nil {
		t.Fatal(err)
	}
	h.reload = func(exchange.Who) (Change, error) { return Change{}, nil }
	return h
}

const (
	twoTokens = `adminAuth: {tokens: [{name: dashboard, file: look}, {name: ci, file: change, role: operator}]}`
	certs     = `adminTLS: {certFile: c, keyFile: k, clientCAFile: c, clientAuth: optional}, adminAuth: {certificates: [{principal: "spiffe://a/ns/ops/*", role: operator}, {principal: grafana}, {principal: "any.*"}]}`
)

// pems are a certificate and its key, as files.
func pems(t *testing.T) map[string][]byte {
	t.Helper()
	s := httptest.NewTLSServer(http.NotFoundHandler())
	defer s.Close()
	key, err := x509.MarshalPKCS8PrivateKey(s.TLS.Certificates[0].PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	return map[string][]byte{
		"c": pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw}),
		"k": pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key}),
	}
}

// certificate returns a change of a request: it comes with leaf, as the
// listener has verified it.
func certificate(leaf x509.Certificate) func(*http.Request) {
	return func(r *http.Request) {
		r.TLS = &tls.ConnectionState{VerifiedChains: [][]*x509.Certificate{{&leaf}}}
	}
}

func uri(s string) *url.URL {
	u, err := url.Parse(s)
	if err != nil {
		panic(err)
	}
	return u
}

func TestAdminAuth(t *testing.T) {
	const loopback, network = "127.0.0.1:9901", "10.0.0.5:9901"
	cn := func(name string) x509.Certificate { return x509.Certificate{Subject: pkix.Name{CommonName: name}} }
	ops := x509.Certificate{URIs: []*url.URL{uri("spiffe://a/ns/ops/sa/ann")}}
	two := x509.Certificate{URIs: []*url.URL{uri("spiffe://a/ns/ops/sa/ann"), uri("spiffe://a/ns/ops/sa/bob")}}
	both := func(changes ...func(*http.Request)) func(*http.Request) {
		return func(r *http.Request) {
			for _, c := range changes {
				c(r)
			}
		}
	}
	const nothing, looking, all = 0, 1, 2
	tests := []struct {
		name, auth, listen string
		send               func(*http.Request)
		may                int
	}{
		{"nobody looks without a credential, not on loopback either", twoTokens, loopback, nil, nothing},
		{"a viewer's token", twoTokens, loopback, bearing(tokenFiles["look"]), looking},
		{"an operator's token", twoTokens, loopback, bearing(tokenFiles["change"]), all},
		{"on a network", twoTokens, network, bearing(tokenFiles["change"]), all},
		{"a viewer's on a network", twoTokens, network, bearing(tokenFiles["look"]), looking},
		{"an unknown token", twoTokens, loopback, bearing("another-token-of-16"), nothing},
		{"an empty token", twoTokens, loopback, bearing(""), nothing},
		{"two credentials", twoTokens, loopback, func(r *http.Request) {
			r.Header["Authorization"] = []string{"Bearer " + tokenFiles["look"], "Bearer " + tokenFiles["change"]}
		}, nothing},
		{"adminToken is an operator's", `adminToken: "${SECRET}", adminAuth: {}`, loopback, bearing(secret), all},
		{"and without it nobody looks", `adminToken: "${SECRET}", adminAuth: {}`, loopback, nil, nothing},
		{"anybody looks where it is said so", `adminAuth: {anonymousRead: true}`, loopback, nil, looking},
		{"but not on a network", `adminAuth: {anonymousRead: true}`, network, nil, nothing},

		{"a certificate by its URI", certs, loopback, certificate(ops), all},
		{"of another namespace", certs, loopback, certificate(x509.Certificate{URIs: []*url.URL{uri("spiffe://a/ns/shop/sa/ann")}}), nothing},
		{"with two URIs", certs, loopback, certificate(two), nothing},
		{"by its common name", certs, loopback, certificate(cn("grafana")), looking},
		{"by the beginning of it", certs, loopback, certificate(cn("any.example")), looking},
		{"by a DNS name, which goes before the common name", certs, loopback, certificate(x509.Certificate{
			DNSNames: []string{"other"}, Subject: pkix.Name{CommonName: "grafana"},
		}), nothing},
		{"a common name that looks like a URI", certs, loopback, certificate(cn("spiffe://a/ns/ops/sa/ann")), nothing},
		{"one without a name", certs, loopback, certificate(x509.Certificate{}), nothing},
		{"one that was not verified", certs, loopback, func(r *http.Request) {
			r.TLS = &tls.ConnectionState{PeerCertificates: []*x509.Certificate{&ops}}
		}, nothing},
		{"a wrong token beside a good certificate", certs, loopback, both(certificate(ops), bearing("wrong")), nothing},
		{"a certificate where none is named", twoTokens, loopback, certificate(ops), nothing},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			h := withAuth(t, tt.auth)
			h.Listen = tt.listen
			for _, e := range every {
				admin := h.Handler() // a new one, which remembers no strikes
				a := ask(t, admin, e.line, e.body, func(r *http.Request) {
					if tt.send != nil {
						tt.send(r)
					}
				})
				refused := tt.may == nothing || tt.may == looking && e.changes
				if got := a.status == 401 || a.status == 403; got != refused {
					t.Errorf("%s: %d, want it refused: %v", e.line, a.status, refused)
				}
			}
			if told := h.told(); tt.may != all && told != nil {
				t.Errorf("something changed: %q", told)
			}
		})
	}
}

// Who guesses is not heard for a while, whatever it then shows; others are, and
// so is who does not guess.
func TestGuessing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newShop(t)
		h.apply(t, guarded)
		var told []string
		h.Tell = func(e exchange.Event) error {
			told = append(told, e.Who.String()+": "+e.Name)
			return nil
		}
		admin := h.Handler()
		from := func(address string) func(*http.Request) {
			return func(r *http.Request) { r.RemoteAddr = address }
		}
		status := func(want int, line, token, address string) {
			t.Helper()
			a := ask(t, admin, line, "", func(r *http.Request) {
				if token != "" {
					bearing(token)(r)
				}
			}, from(address))
			if a.status != want {
				t.Errorf("%s with %q from %s: %d, want %d", line, token, address, a.status, want)
			}
			if retry := a.header.Get("Retry-After"); (a.status == 429) != (retry != "") {
				t.Errorf("%s: %d with Retry-After %q", line, a.status, retry)
			}
		}
		const put, me, other = "PUT /faults/chaos", "127.0.0.7:1", "127.0.0.8:1"
		for i := range 10 {
			status(401, put, fmt.Sprint("guess-", i), me)
			time.Sleep(time.Second)
		}
		status(429, put, "guess", me)
		status(429, put, secret, "127.0.0.7:2") // the same address
		status(429, put, secret, "[::ffff:127.0.0.7]:2")
		status(200, put, secret, other)
		status(200, "GET /faults", "", me) // needs none
		status(429, put, "", me)           // needs one
		if len(told) != 10 {
			t.Errorf("told %d: %q, want ten guesses", len(told), told)
		}
		time.Sleep(49 * time.Second)
		status(429, put, secret, me)
		time.Sleep(time.Second)
		status(200, put, secret, me)
		for range 50 { // what is missing is told ten times a minute, and never shuts out
			status(401, put, "", me)
		}
		if len(told) != 10+10 {
			t.Errorf("told %d, want ten more", len(told))
		}
		status(200, put, secret, me)
	})
}

// Nothing makes up for guesses: neither a good certificate nor that there is no
// token. Whoever shows no token has guessed none, and is never shut out.
func TestGuessersAreNotHeardWhateverTheyShow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := withAuth(t, certs)
		admin := h.Handler()
		const put = "PUT /faults/chaos"
		good := certificate(x509.Certificate{Subject: pkix.Name{CommonName: "grafana"}})
		unknown := certificate(x509.Certificate{Subject: pkix.Name{CommonName: "nobody"}})
		status := func(want int, what, line string, change ...func(*http.Request)) {
			t.Helper()
			if a := ask(t, admin, line, "", change...); a.status != want {
				t.Errorf("%s: %s: %d, want %d", line, what, a.status, want)
			}
		}
		for range 2 * maxStrikes {
			status(401, "nothing", put)
			status(401, "an unknown certificate", put, unknown)
		}
		for range maxStrikes {
			status(200, "a good certificate", "GET /faults", good)
			status(401, "a wrong token", put, bearing("wrong"))
		}
		status(429, "a good certificate", "GET /faults", good)
		status(429, "an unknown certificate", "GET /faults", unknown)
		status(429, "nothing", put)
		time.Sleep(strikeWindow)
		status(200, "a good certificate", "GET /faults", good)
	})
}

// However many addresses guess, few are remembered, and of IPv6 a network is
// one.
func TestStrikesAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s strikes
		at := func(address string) *http.Request { return &http.Request{RemoteAddr: address} }
		for i := range 5 * maxStrikers {
			s.add(at(fmt.Sprintf("10.0.%d.%d:1", i/256, i%256)))
			time.Sleep(time.Millisecond)
		}
		if len(s.by) != maxStrikers {
			t.Errorf("%d addresses are remembered, want %d", len(s.by), maxStrikers)
		}
		for i := range maxStrikes {
			s.add(at(fmt.Sprintf("[2001:db8::%x]:1", i)))
		}
		if s.wait(at("[2001:db8::ffff]:1")) == 0 {
			t.Error("an address of the same /64 is heard")
		}
		if s.wait(at("[2001:db8:0:1::1]:1")) != 0 {
			t.Error("an address of another /64 is not heard")
		}
		s.add(at("@")) // a socket without an address
	})
}

// What a viewer tries is told, however many requests without a credential, or
// with a wrong one, come from the same address: behind a port-forward all do.
func TestAViewersAttemptsAreNotHidden(t *testing.T) {
	h := withAuth(t, twoTokens)
	told := map[string]int{}
	h.Tell = func(e exchange.Event) error {
		told[e.Who.Name]++
		return nil
	}
	admin := h.Handler()
	for i := range 3 * maxStrikes {
		ask(t, admin, "PUT /faults/chaos", "")
		if i < maxStrikes-1 { // then the address would not be heard
			ask(t, admin, "PUT /faults/chaos", "", bearing("wrong"))
		}
	}
	for range 3 * maxStrikes {
		ask(t, admin, "PUT /faults/chaos", "", bearing(tokenFiles["look"]))
	}
	if want := map[string]int{"": 2*maxStrikes - 1, "token dashboard": maxStrikes}; !maps.Equal(told, want) {
		t.Errorf("told %v, want %v", told, want)
	}
}

// What is not audited is not done, and the answer says why.
func TestChangesThatMayNotBe(t *testing.T) {
	h := newShop(t)
	full := fmt.Errorf("%w: no space left", exchange.ErrUnheard)
	var asked []string
	h.object = func(e exchange.Event) error {
		asked = append(asked, e.Who.String()+": "+e.Name+": "+e.From+" -> "+e.To)
		return full
	}
	h.reload = func(exchange.Who) (Change, error) { return Change{}, full }
	for _, line := range []string{"POST /breakers/standard@app", "PUT /faults/chaos", "POST /-/reload"} {
		body := ""
		if strings.Contains(line, "breakers") {
			body = `{"state": "open"}`
		}
		if a := ask(t, h.Handler(), line, body); a.status != 503 || !strings.Contains(a.detail(), "no space left") {
			t.Errorf("%s: %d %q, want 503 and why", line, a.status, a.detail())
		}
	}
	for _, body := range []string{`{"state": "auto"}`, `{"state": "ajar"}`} { // changes nothing, or is none
		ask(t, h.Handler(), "POST /breakers/standard@app", body)
	}
	if want := []string{"127.0.0.7: standard@app: closed -> open", "127.0.0.7: chaos: off -> on"}; !slices.Equal(asked, want) {
		t.Errorf("asked %q, want %q", asked, want)
	}
	if told := h.told(); told != nil {
		t.Errorf("something changed: %q", told)
	}
	if a := ask(t, h.Handler(), "GET /breakers/standard@app", ""); a.doc["state"] != "closed" {
		t.Errorf("the breaker is %v, want it closed", a.doc["state"])
	}
}

// Of two who ask for the same at once one changes something, and is told of.
func TestChangesAtOnceAreToldAsTheyAreMade(t *testing.T) {
	h := newShop(t)
	h.object = func(exchange.Event) error {
		for range 10_000 { // the disk is slow
			runtime.Gosched()
		}
		return nil
	}
	handler := h.Handler()
	var both sync.WaitGroup
	for range 2 {
		both.Go(func() { ask(t, handler, "POST /breakers/standard@app", `{"state": "open"}`) })
	}
	both.Wait()
	if told := h.told(); len(told) != 1 {
		t.Errorf("told %q, want one change", told)
	}
}

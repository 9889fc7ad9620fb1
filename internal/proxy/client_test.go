package proxy

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// loopback is whom a policy trusts that does not say.
func loopback(t testing.TB) trusted {
	t.Helper()
	return parse(t, minimal, "http://127.0.0.1:1").Server.TrustedProxies
}

func TestClientAddressIsWhatTrustedPeersSay(t *testing.T) {
	tests := []struct {
		name, peer string
		forwarded  []string
		want       string
	}{
		{"no proxy", "203.0.113.9:1", nil, "203.0.113.9"},
		{"a stranger's word is nothing", "203.0.113.9:1", []string{"10.1.1.1"}, "203.0.113.9"},
		{"a trusted peer's word", "127.0.0.1:1", []string{"203.0.113.9"}, "203.0.113.9"},
		{"the nearest hop counts, not the client's own invention", "127.0.0.1:1", []string{"6.6.6.6, 203.0.113.9"}, "203.0.113.9"},
		{"trusted hops are walked through", "127.0.0.1:1", []string{"203.0.113.9, 127.0.0.2"}, "203.0.113.9"},
		{"several lines are one list", "127.0.0.1:1", []string{"6.6.6.6", "203.0.113.9"}, "203.0.113.9"},
		{"garbage stops the walk", "127.0.0.1:1", []string{"203.0.113.9, banana"}, "127.0.0.1"},
		{"IPv6 with a port", "[::1]:1", []string{"[2001:db8::7]:4711"}, "2001:db8::7"},
		{"IPv4 in IPv6 is IPv4", "[::ffff:203.0.113.9]:1", nil, "203.0.113.9"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := httptest.NewRequest("GET", "/", nil)
			r.RemoteAddr = tt.peer
			r.Header["X-Forwarded-For"] = tt.forwarded
			if got := loopback(t).client(r, peer(r).Addr()).String(); got != tt.want {
				t.Errorf("client = %s, want %s", got, tt.want)
			}
		})
	}
}

func FuzzClientAddress(f *testing.F) {
	f.Add("203.0.113.9, 127.0.0.1")
	f.Add("[::1%eth0]:80,,")
	believed := loopback(f)
	f.Fuzz(func(_ *testing.T, header string) {
		r := httptest.NewRequest("GET", "/", nil)
		r.RemoteAddr = "127.0.0.1:1"
		r.Header.Set("X-Forwarded-For", header)
		believed.client(r, peer(r).Addr())
	})
}

func TestRequestIDIsTakenFromTrustedPeersOnly(t *testing.T) {
	tests := []struct {
		name, peer, id string
		keep           bool
	}{
		{"trusted and well formed", "127.0.0.1:1", "abc-1.2_3", true},
		{"a stranger's", "203.0.113.9:1", "abc", false},
		{"empty", "127.0.0.1:1", "", false},
		{"with a line end", "127.0.0.1:1", "a\nb", false},
		{"with a space", "127.0.0.1:1", "a b", false},
		{"too long", "127.0.0.1:1", string(make([]byte, 129)), false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := httptest.NewRequest("GET", "/", nil)
			r.RemoteAddr = tt.peer
			r.Header["X-Request-Id"] = []string{tt.id}
			got := requestID(r, loopback(t).holds(peer(r).Addr()))
			if (got == tt.id) != tt.keep {
				t.Errorf("requestID = %q, want it kept: %v", got, tt.keep)
			}
			if !validRequestID(got) {
				t.Errorf("requestID = %q, which is not well formed", got)
			}
		})
	}
}

// What the client speaks is the same to the upstream and to who reads the record.
func TestTheSchemeIsWhatTheClientSpeaks(t *testing.T) {
	upstream := service(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Saw", strings.Join(r.Header["X-Forwarded-Proto"], "; "))
	})
	p, saw := apply(t, minimal, upstream)
	const stranger, trusted = "203.0.113.9", "127.0.0.1"
	for _, tt := range []struct{ name, url, peer, said, want string }{
		{"plain", "http://h/", stranger, "", "http"},
		{"by TLS", "https://h/", stranger, "", "https"},
		{"a stranger's word", "http://h/", stranger, "https", "http"},
		{"a stranger's word by TLS", "https://h/", stranger, "http", "https"},
		{"nothing said by a trusted peer", "https://h/", trusted, "", "https"},
		{"a trusted peer's word", "http://h/", trusted, "https", "https"},
		{"a trusted peer's word by TLS", "https://h/", trusted, "http", "http"},
	} {
		r := httptest.NewRequest("GET", tt.url, nil)
		r.RemoteAddr = tt.peer + ":4711"
		if tt.said != "" {
			r.Header.Set("X-Forwarded-Proto", tt.said)
		}
		w := httptest.NewRecorder()
		p.ServeHTTP(w, r)
		if told, kept := w.Header().Get("Saw"), saw.next(t).Scheme; told != tt.want || kept != tt.want {
			t.Errorf("%s: the upstream sees %q, the record holds %q, want %q", tt.name, told, kept, tt.want)
		}
	}
}

// Whose word counts is what the policy says, and a reload says it anew.
func TestThePolicySaysWhoIsTrusted(t *testing.T) {
	upstream := service(t, func(w http.ResponseWriter, r *http.Request) {
		for _, name := range []string{"X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Request-Id", "X-Forwarded-Prefix", "X-Real-Ip", "X_real_ip"} {
			w.Header().Set("Saw-"+name, strings.Join(r.Header[name], "; "))
		}
	})
	trusting := func(networks string) string { return minimal + "server: {trustedProxies: [" + networks + "]}\n" }
	const peer, loop = "203.0.113.9", "127.0.0.1"
	tests := []struct {
		name, policy, peer string
		believed           bool
	}{
		{"nothing said: loopback", minimal, loop, true},
		{"nothing said: nobody else", minimal, peer, false},
		{"a network", trusting("203.0.113.0/24"), peer, true},
		{"an address", trusting("10.0.0.0/8, 203.0.113.9"), peer, true},
		{"another address", trusting("203.0.113.8"), peer, false},
		{"a list replaces the default", trusting("203.0.113.0/24"), loop, false},
		{"an empty list trusts nobody", trusting(""), loop, false},
	}
	p, saw := apply(t, minimal, upstream)
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if err := p.Apply(parse(t, tt.policy, upstream)); err != nil {
				t.Fatal(err)
			}
			r := httptest.NewRequest("GET", "http://front.example/", nil)
			r.RemoteAddr = tt.peer + ":4711"
			for name, value := range map[string]string{
				"X-Forwarded-For": "198.51.100.7", "X-Forwarded-Host": "shop.example", "X-Forwarded-Proto": "https", "X-Request-Id": "mine",
				"X-Forwarded-Prefix": "/shop", "X-Real-Ip": "198.51.100.8", "X_Real_Ip": "198.51.100.9",
			} {
				r.Header.Set(name, value)
			}
			w := httptest.NewRecorder()
			p.ServeHTTP(w, r)
			ended, got := saw.next(t), w.Header()
			want := map[string]string{
				"X-Forwarded-For": tt.peer, "X-Forwarded-Host": "front.example", "X-Forwarded-Proto": "http", "X-Request-Id": ended.ID,
				"X-Forwarded-Prefix": "", "X-Real-Ip": "", "X_real_ip": "",
			}
			client := tt.peer
			if tt.believed {
				client = "198.51.100.7"
				want = map[string]string{
					"X-Forwarded-For": "198.51.100.7, " + tt.peer, "X-Forwarded-Host": "shop.example",
					"X-Forwarded-Proto": "https", "X-Request-Id": "mine",
					"X-Forwarded-Prefix": "/shop", "X-Real-Ip": "198.51.100.8", "X_real_ip": "",
				}
			}
			for name, value := range want {
				if saw := got.Get("Saw-" + name); saw != value {
					t.Errorf("the upstream sees %s: %q, want %q", name, saw, value)
				}
			}
			if ended.Client != client || (ended.ID == "mine") != tt.believed {
				t.Errorf("the record says %s from %s, want it from %s", ended.ID, ended.Client, client)
			}
		})
	}
}

package proxy

import (
	"net/http/httptest"
	"testing"

	"sidecar/internal/policy"
)

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
			if got := trusted(policy.TrustedProxies()).client(r).String(); got != tt.want {
				t.Errorf("client = %s, want %s", got, tt.want)
			}
		})
	}
}

func FuzzClientAddress(f *testing.F) {
	f.Add("203.0.113.9, 127.0.0.1")
	f.Add("[::1%eth0]:80,,")
	f.Fuzz(func(_ *testing.T, header string) {
		r := httptest.NewRequest("GET", "/", nil)
		r.RemoteAddr = "127.0.0.1:1"
		r.Header.Set("X-Forwarded-For", header)
		trusted(policy.TrustedProxies()).client(r)
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
			got := trusted(policy.TrustedProxies()).requestID(r)
			if (got == tt.id) != tt.keep {
				t.Errorf("requestID = %q, want it kept: %v", got, tt.keep)
			}
			if !validRequestID(got) {
				t.Errorf("requestID = %q, which is not well formed", got)
			}
		})
	}
}

package authz

import (
	"net/http"
	"net/url"
	"testing"

	"sidecar/internal/exchange"
)

// usualRules are those of the bench: who is suspended may do nothing, who reads
// or writes may do so below one path.
func usualRules() Config {
	return Config{Default: Deny, Rules: []RuleConfig{
		{Name: "suspended", Effect: Deny, When: When{Claims: map[string]exchange.OneOrMore{"status": {"suspended"}}}},
		{Name: "readers", Effect: Allow, When: When{
			Roles: []string{"reader", "writer"}, Methods: []string{"GET", "POST"}, Paths: []string{"/v1/orders/*"},
		}},
	}}
}

// usualRequest returns one that usualRules let by. Its record is sealed, or it
// would grow with every round.
func usualRequest() *http.Request {
	r, record := request("/v1/orders/42")
	r.Header = http.Header{
		"Accept": {"*/*"}, "User-Agent": {"bench"}, "Authorization": {"Bearer x"}, "X-Request-Id": {"1"},
		"Traceparent": {"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00"},
	}
	record.Identify(&exchange.Principal{
		Subject: "alice", Issuer: "bench", Roles: []string{"reader"}, By: exchange.ByToken,
		Claims: map[string]any{"sub": "alice", "iss": "bench", "roles": []any{"reader"}, "exp": 1, "iat": 1},
		Names:  map[string]string{"subject": "sub", "roles": "roles"},
	})
	record.Seal()
	return r
}

func BenchmarkUsualRules(b *testing.B) {
	a, r := New("rules", usualRules(), nil), usualRequest()
	b.Run("sequential", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if err := a.Check(r); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("parallel", func(b *testing.B) {
		b.ReportAllocs()
		b.SetParallelism(2)
		b.RunParallel(func(pb *testing.PB) {
			r := usualRequest()
			for pb.Next() {
				_ = a.Check(r)
			}
		})
	})
}

func BenchmarkReadings(b *testing.B) {
	r := usualRequest()
	b.ReportAllocs()
	for b.Loop() {
		for _, reading := range Readings(r.URL) {
			if reading != "" {
				b.Fatal(reading)
			}
		}
	}
}

func TestTheUsualRulesDoNotAllocate(t *testing.T) {
	a, r := New("rules", usualRules(), nil), usualRequest()
	if err := a.Check(r); err != nil {
		t.Fatal(err)
	}
	if got := testing.AllocsPerRun(1000, func() { _, _ = a.Check(r), Readings(r.URL) }); got != 0 {
		t.Errorf("Check and Readings allocate %v times, want 0", got)
	}
}

// What can be read in one way is read once: that must never leave a reading out.
func TestWhatIsReadOneWayHasNoReadings(t *testing.T) {
	for path, want := range map[string]bool{
		"/":                true,
		"/v1/orders/42":    true,
		"/v1/orders/":      true,
		"/v1/a.b/c..d/":    true,
		"/v1/a%20b/%C3%A9": true,
		"":                 true,
		"*":                true,
		"/v1/%2e":          false,
		"/v1//a":           false,
		"/v1/./a":          false,
		"/v1/..":           false,
		"/v1/.hidden":      false,
		"/v1/a;b":          false,
		"/v1/a%3Bb":        false,
		"/v1/a%2Fb":        false,
		"/v1/a%5Cb":        false,
		"/v1/a%00":         false,
		"/v1/%61":          false,
		"//":               false,
		"/v1/a/;/../admin": false,
	} {
		u := &url.URL{}
		if path != "" && path != "*" {
			u = must(url.ParseRequestURI(path))
		} else {
			u.Path = path
		}
		if got := OneWay(u); got != want {
			t.Errorf("OneWay(%q) = %v, want %v", path, got, want)
		}
		if all := [...]string{raw(u), resolved(u.RawPath), plain(u.Path)}; want && all != [3]string{} {
			t.Errorf("%q is read as %q, want no readings", path, all)
		}
	}
}

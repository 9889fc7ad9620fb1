package proxy

import (
	"maps"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/google/go-cmp/cmp"

	"sidecar/internal/exchange"
)

// taking is a server's writer that takes a header as it is, and gives it back
// once it is written.
type taking struct {
	*httptest.ResponseRecorder
	given, written http.Header
}

func (w *taking) SetHeader(h http.Header) bool {
	w.given = h
	return true
}

func (w *taking) Header() http.Header { return w.given }

func (w *taking) WriteHeader(status int) {
	w.written = w.given.Clone()
	w.given = http.Header{}
	w.ResponseRecorder.WriteHeader(status)
}

// A header that the server takes as it is says what a copy of it would.
func TestAHeaderThatIsTakenIsThatOfTheAnswer(t *testing.T) {
	p, _ := apply(t, minimal, service(t, func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h["Twice"], h["Keep-Alive"], h["Te"], h["Proxy-Authenticate"] = []string{"a", "b"}, []string{"timeout=5"}, []string{"x"}, []string{"Basic"}
		h.Set("Saw", r.URL.Path)
	}))
	ask := func(path string) *http.Request {
		r := httptest.NewRequest("GET", path, nil)
		r.RemoteAddr = "127.0.0.1:1"
		r.Header.Set("X-Request-Id", "mine") // of a trusted peer
		return r
	}
	for _, path := range []string{"/first", "/second", "/third"} {
		copied, taken := httptest.NewRecorder(), &taking{ResponseRecorder: httptest.NewRecorder()}
		p.ServeHTTP(copied, ask(path))
		p.ServeHTTP(taken, ask(path))
		want := copied.Result().Header
		for _, h := range []http.Header{want, taken.written} {
			h.Del("Date")
		}
		if diff := cmp.Diff(want, taken.written); diff != "" {
			t.Errorf("%s: taken as it is (-copied +taken):\n%s", path, diff)
		}
		if got := taken.written.Get("Saw"); got != path || len(taken.written["Twice"]) != 2 || taken.written["Keep-Alive"] != nil {
			t.Errorf("%s: the client gets %v", path, taken.written)
		}
	}
}

// What is told to an upstream as it goes, and what a layer finds that looks at
// it first, are the same.
func TestAHeaderThatIsToldIsTheOneThatLayersSee(t *testing.T) {
	rw := &rewriter{ours: ours(nil), fate: fates(nil), shapes: shapesOf(maps.Keys(fates(nil))), via11: "1.1 us"}
	for name, tt := range map[string]struct {
		in       http.Header
		trusted  bool
		forwards []exchange.Field
		want     http.Header
	}{
		"nothing": {http.Header{}, false, nil, http.Header{"User-Agent": {""}}},
		"names of ours, and in other spellings": {
			http.Header{"X-Forwarded-For": {"x"}, "X_forwarded_for": {"x"}, "Via": {"1.0 a"}, "Te": {"x"}, "A": {"1", "2"}, "User-Agent": {"me"}},
			false, nil,
			http.Header{"A": {"1", "2"}, "User-Agent": {"me"}, "Via": {"1.0 a", "1.1 us"}},
		},
		"of a trusted peer": {
			http.Header{"X-Forwarded-For": {"9.9.9.9"}, "X-Forwarded-Host": {"front"}, "X-Real-Ip": {"8.8.8.8"}},
			true, nil,
			http.Header{"User-Agent": {""}, "X-Forwarded-For": {"9.9.9.9, 1.2.3.4"}, "X-Forwarded-Host": {"front"}, "X-Real-Ip": {"8.8.8.8"}},
		},
		"what a policy says instead": {
			http.Header{"X-User": {"x"}, "X_user": {"x"}, "User-Agent": {"me"}, "Authorization": {"x"}},
			false,
			[]exchange.Field{{Name: "x-user", Value: "first"}, {Name: "X-User", Value: "alice"}, {Name: "Authorization"}, {Name: "User-Agent", Value: "it"}},
			http.Header{"X-User": {"alice"}, "User-Agent": {"it"}},
		},
		"of our own": {
			http.Header{"User-Agent": {"me"}},
			false,
			[]exchange.Field{{Name: "X-Forwarded-Host"}, {Name: "Via", Value: "none"}},
			http.Header{"User-Agent": {"me"}, "Via": {"none"}, "X-Forwarded-Host": nil},
		},
	} {
		t.Run(name, func(t *testing.T) {
			x := newCrossing()
			rec := &x.Record
			rec.ID, rec.Host, rec.Scheme, rec.Proto, rec.Trusted, rec.RequestHeader = "id", "h", "http", "HTTP/1.1", tt.trusted, tt.in
			rec.Forward(tt.forwards...)
			r := httptest.NewRequest("GET", "/", nil)
			r.Header, r.RemoteAddr = tt.in, "1.2.3.4:5"
			out := (&forwarder{rewriter: rw}).outgoing(x, r.WithContext(x))
			want := http.Header{"X-Forwarded-For": {"1.2.3.4"}, "X-Forwarded-Host": {"h"}, "X-Forwarded-Proto": {"http"}, "X-Request-Id": {"id"}, "Via": {"1.1 us"}}
			maps.Copy(want, tt.want)
			maps.DeleteFunc(want, func(_ string, values []string) bool { return values == nil })
			x.call.x = x
			told := http.Header{}
			x.call.Tell(asMap(told))
			if out.Header != nil {
				t.Error("the header is made before anybody looks at it")
			}
			if diff := cmp.Diff(want, told); diff != "" {
				t.Errorf("told (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(want, exchange.HeaderOf(out.WithContext(exchange.With(out.Context(), rec)))); diff != "" {
				t.Errorf("seen by a layer (-want +got):\n%s", diff)
			}
		})
	}
}

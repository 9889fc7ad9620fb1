package proxy

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"sidecar/internal/authz"
	"sidecar/internal/exchange"
)

// chains are what a request goes through: nothing but the seam, the gates, and
// everything.
var chains = map[string]string{
	"empty": `
version: v1
upstreams: {app: {endpoints: [{url: "${UPSTREAM}"}]}}
routes: [{name: all, upstream: app, timeout: 0s, streamIdleTimeout: 0s, use: {validation: none, circuitBreaker: none, retry: none}}]
`,
	"gates": strings.Replace(everything,
		"use: {fault: [slow, chaos], retry: safe, circuitBreaker: standard,", "use: {retry: none, circuitBreaker: none,", 1),
	"full": everything,
}

// nobody is a client's side that takes everything and keeps nothing.
type nobody struct{ header http.Header }

func (n *nobody) Header() http.Header         { return n.header }
func (n *nobody) WriteHeader(int)             {}
func (n *nobody) Write(p []byte) (int, error) { return len(p), nil }

// BenchmarkChain is the cost of the chain alone: the upstream is a function,
// and nobody is the client's side.
func BenchmarkChain(b *testing.B) {
	for _, name := range []string{"empty", "gates", "full"} {
		b.Run(name, func(b *testing.B) {
			p, r := benchmarked(b, chains[name])
			b.ReportAllocs()
			for b.Loop() {
				p.ServeHTTP(&nobody{http.Header{}}, r)
			}
		})
		b.Run(name+"-parallel", func(b *testing.B) {
			p, r := benchmarked(b, chains[name])
			b.ReportAllocs()
			b.SetParallelism(2)
			b.RunParallel(func(pb *testing.PB) {
				r := r.Clone(b.Context())
				for pb.Next() {
					p.ServeHTTP(&nobody{http.Header{}}, r)
				}
			})
		})
	}
}

// benchmarked returns a proxy under the policy in text, and a request that
// passes it.
func benchmarked(tb testing.TB, text string) (*Proxy, *http.Request) {
	tb.Helper()
	// Limits that are never spent.
	text = strings.ReplaceAll(text, "rate: 1000/s", "rate: 1000000/s")
	p, _ := apply(tb, text, "http://127.0.0.1:1", func(o *Options) {
		o.Observers = nil
		o.Transport = exchange.RoundTripFunc(func(r *http.Request) (*http.Response, error) {
			return &http.Response{StatusCode: 200, Header: http.Header{}, Body: http.NoBody, Request: r}, nil
		})
	})
	token, err := authz.Sign([]byte("0123456789abcdef0123456789abcdef"), authz.Token{Subject: "alice", Issuer: "me", TTL: time.Hour})
	if err != nil {
		tb.Fatal(err)
	}
	r := httptest.NewRequest("GET", "/v1/orders", nil)
	r.Header.Set("Authorization", "Bearer "+token)
	w := httptest.NewRecorder()
	p.ServeHTTP(w, r)
	if w.Code != 200 {
		tb.Fatalf("the request does not pass: %d %s", w.Code, w.Body)
	}
	return p, r
}

package validation

import (
	"net/http"
	"testing"
)

// usual is the policy of the bench.
func usual() *Validation {
	return policy(func(c *Config) {
		c.Methods, c.ContentTypes = []string{"GET", "POST"}, []string{"application/json"}
		c.Headers = Headers{Deny: []string{"X-Debug"}}
	})
}

// usualRequests returns those that it lets by.
func usualRequests() map[string]*http.Request {
	fields := []string{
		"Accept: */*", "User-Agent: bench", "Authorization: Bearer x", "X-Request-Id: 1",
		"Traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00",
	}
	return map[string]*http.Request{
		"GET":  request("GET /v1/orders/42", "", fields...),
		"POST": request("POST /v1/orders/42", "{}", append(fields, "Content-Type: application/json")...),
	}
}

func BenchmarkUsual(b *testing.B) {
	v := usual()
	for name, r := range usualRequests() {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if err := v.Check(r); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(name+"-parallel", func(b *testing.B) {
			b.ReportAllocs()
			b.SetParallelism(2)
			b.RunParallel(func(pb *testing.PB) {
				r := usualRequests()[name]
				for pb.Next() {
					_ = v.Check(r)
				}
			})
		})
	}
}

func TestTheUsualPolicyDoesNotAllocate(t *testing.T) {
	v := usual()
	for name, r := range usualRequests() {
		if err := v.Check(r); err != nil {
			t.Fatal(err)
		}
		if got := testing.AllocsPerRun(1000, func() { _ = v.Check(r) }); got != 0 {
			t.Errorf("%s: Check allocates %v times, want 0", name, got)
		}
	}
}

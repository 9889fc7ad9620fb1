package breaker

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"sidecar/internal/exchange"
)

// standingIn returns a breaker with a fallback to an upstream, and what that
// was sent.
func standingIn(t *testing.T, f Fallback, replies ...any) (*bench, *[]string) {
	t.Helper()
	c := config(func(c *Config) { f.Line = 9; c.Fallback = &f })
	b := newBench(t, c, replies...)
	var got []string
	own := New(c, NewState("standard@backup", c, func() float64 { return 0.5 }, func(exchange.Event) error { return nil }), nil)
	other := own.Admit(own.Count(exchange.RoundTripFunc(func(r *http.Request) (*http.Response, error) {
		sent, _ := io.ReadAll(r.Body)
		got = append(got, r.Method+" "+string(sent))
		return exchange.NewResponse(r, map[string]int{"DELETE": 500}[r.Method]+203*b2i(r.Method != "DELETE"), "", nil, nil), nil
	})))
	b.breaker = New(c, b.state, other)
	b.rt = b.breaker.Admit(b.breaker.Count(script(replies...)))
	return b, &got
}

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}

func post(t *testing.T, b *bench, method, body string) (string, *exchange.Record) {
	t.Helper()
	rec := &exchange.Record{Upstream: "orders"}
	r := request(exchange.With(t.Context(), rec))
	r.Method, r.Body = method, io.NopCloser(strings.NewReader(body))
	return outcome(b.rt.RoundTrip(r)), rec
}

func TestAnotherUpstreamAnswersWhileTheBreakerIsOpen(t *testing.T) {
	b, got := standingIn(t, Fallback{Upstream: "backup"}, 200)
	if err := b.state.Force("open", ann); err != nil {
		t.Fatal(err)
	}
	status, rec := post(t, b, "POST", "body")
	if status != "203" || len(*got) != 1 || (*got)[0] != "POST body" {
		t.Errorf("got %s, the other one got %q, want its 203 and the whole body", status, *got)
	}
	if rec.Asked() != "backup" {
		t.Errorf("asked %s, want backup", rec.Asked())
	}
	d := rec.Decisions()[0]
	want := exchange.Decision{
		Kind: exchange.CircuitBreaker, Policy: "standard@orders", Outcome: exchange.Act, Reason: exchange.FallbackUpstream,
		Detail: "breaker_open: upstream backup is asked", Line: 9,
	}
	if d != want {
		t.Errorf("decision %+v, want %+v", d, want)
	}
}

// When the first attempt got nowhere near the upstream, the body is whole; when
// a part of it was sent, nobody else can have it.
func TestAnotherUpstreamGetsTheWholeBodyOrNone(t *testing.T) {
	reads := func(n int) any {
		return func(r *http.Request) (*http.Response, error) {
			_, _ = io.ReadFull(r.Body, make([]byte, n))
			r.Body.Close()
			return nil, &exchange.Refusal{Kind: exchange.CircuitBreaker, Policy: "standard@orders", Reason: exchange.BreakerOpen}
		}
	}
	tests := []struct {
		name, body string
		read       int
		want       string
	}{
		{"nothing was read", "body", 0, "203"},
		{"a part was read", "body", 1, "breaker_open"},
		{"all was read", "body", 4, "breaker_open"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b, got := standingIn(t, Fallback{Upstream: "backup"}, reads(tt.read))
			status, rec := post(t, b, "PUT", tt.body)
			if status != tt.want || tt.want == "203" && (*got)[0] != "PUT "+tt.body {
				t.Errorf("got %s, the other one got %q, want %s", status, *got, tt.want)
			}
			last := rec.Decisions()[len(rec.Decisions())-1]
			if (last.Reason == exchange.BodyNotReplayable) != (tt.read > 0) || (rec.Diverted() == "") != (tt.read > 0) {
				t.Errorf("decision %+v, diverted to %q", last, rec.Diverted())
			}
		})
	}
}

func TestWithoutABodyAnotherUpstreamAnswersAtAnyTime(t *testing.T) {
	own := &exchange.Refusal{Kind: exchange.CircuitBreaker, Policy: "standard@orders", Reason: exchange.BreakerOpen}
	b, _ := standingIn(t, Fallback{Upstream: "backup"}, own)
	b.want("203")
}

func TestAnotherUpstreamIsForRefusalsOnly(t *testing.T) {
	for want, reply := range map[string]any{"503": 503, "connect-failure": exchange.FailedConnect} {
		b, got := standingIn(t, Fallback{Upstream: "backup"}, reply)
		b.want(want)
		if len(*got) != 0 {
			t.Errorf("%s: the other one got %q, want nothing", want, *got)
		}
	}
}

// The other upstream's own refusal is the answer, unless there is a response for
// it.
func TestTheFallbacksOwnBreaker(t *testing.T) {
	for want, f := range map[string]Fallback{
		"breaker_open": {Upstream: "backup"},
		"207":          {Upstream: "backup", Status: 207},
		"503":          {Upstream: "backup", Body: "later"},
	} {
		b, _ := standingIn(t, f, 200)
		if err := b.state.Force("open", ann); err != nil {
			t.Fatal(err)
		}
		for range 3 {
			post(t, b, "DELETE", "") // fails there
		}
		if got, rec := post(t, b, "GET", ""); got != want || rec.Asked() != "backup" {
			t.Errorf("%+v: got %s of %s, want %s of backup", f, got, rec.Asked(), want)
		}
	}
}

func TestAShadowTurnsToNobody(t *testing.T) {
	c := config(func(c *Config) { c.Mode = exchange.ModeShadow; c.Fallback = &Fallback{Upstream: "backup"} })
	b := newBench(t, c, 200)
	b.breaker = New(c, b.state, exchange.RoundTripFunc(func(*http.Request) (*http.Response, error) {
		t.Error("the other upstream is asked")
		return nil, http.ErrNotSupported
	}))
	b.rt = b.breaker.Admit(b.breaker.Count(script(200)))
	if err := b.state.Force("open", ann); err != nil {
		t.Fatal(err)
	}
	b.want("200")
}

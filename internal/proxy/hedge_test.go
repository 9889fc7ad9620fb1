package proxy

import (
	"bufio"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"golang.org/x/net/http2"

	"sidecar/internal/exchange"
	"sidecar/internal/retry"
)

// hedged is a policy whose breaker opens at the first failure, and whose first
// attempts are never waited for long.
func hedged(upstream, hedge string) string {
	return `
version: v1
upstreams: {app: {endpoints: [{url: "${UPSTREAM}"}], ` + upstream + `}}
policies:
  retry: {quick: {hedge: ` + hedge + `}}
  circuitBreaker: {strict: {consecutiveFailures: 1}}
  fault: {slow: {enabled: true, percent: 50, seed: 7, delay: {fixed: 1h}}}
routes:
  - {name: drill, match: {pathPrefix: /drill}, upstream: app, timeout: 10s, use: {retry: {maxAttempts: 10, hedge: {after: 1ms, max: 9}}, fault: slow}}
  - {name: all, upstream: app, timeout: 10s, use: {retry: quick, circuitBreaker: strict}}
`
}

// ways are those to an upstream.
var ways = map[string]string{"direct": "transport: direct", "standard": "transport: standard", "h2c": "protocol: h2c"}

const large = 200_000

// waits never answers a first attempt under /slow, and every other at once.
func waits(t *testing.T) string {
	return service(t, func(w http.ResponseWriter, r *http.Request) {
		n := r.Header.Get(attemptHeader)
		if n == "" && strings.HasPrefix(r.URL.Path, "/slow") {
			<-r.Context().Done()
			return
		}
		w.Header().Set("X-Attempt", n)
		_, _ = io.WriteString(w, strings.Repeat("x", large))
	})
}

func TestAHedgeAnswersInPlaceOfASlowAttempt(t *testing.T) {
	for way, upstream := range ways {
		t.Run(way, func(t *testing.T) {
			p, saw := apply(t, hedged(upstream, "{after: 1ms}"), waits(t))
			url := listen(t, p)
			for range 3 {
				resp, text := get(t, url+"/slow")
				if resp.StatusCode != 200 || len(text) != large || resp.Header.Get("X-Attempt") != "2" {
					t.Errorf("%d, %d bytes of attempt %q, want the whole answer to the second", resp.StatusCode, len(text), resp.Header.Get("X-Attempt"))
				}
				if got, want := resp.Header.Get("Proxy-Status"), `sidecar;received-status=200;details="hedged"`; got != want {
					t.Errorf("Proxy-Status = %s, want %s", got, want)
				}
				e := saw.next(t)
				if _, won := e.noted(exchange.HedgeWon); !won || e.Attempts != 2 {
					t.Errorf("%d attempts, decisions %v, want a hedge that won", e.Attempts, e.Decisions)
				}
			}
			// The breaker would have opened at the first failure.
			if events := saw.transitions(); len(events) > 0 {
				t.Errorf("events %v, want none: to be overtaken is no failure", events)
			}
			ended := map[string]int{}
			saw.mu.Lock()
			defer saw.mu.Unlock()
			for _, a := range saw.attempts {
				ended[fmt.Sprint(a.Number, " ", a.Outcome())]++
			}
			if want := map[string]int{"1 cancelled": 3, "2 200": 3}; !maps.Equal(ended, want) {
				t.Errorf("attempts end as %v, want %v", ended, want)
			}
		})
	}
}

func TestAHedgeGoesToAnotherEndpoint(t *testing.T) {
	hangs := service(t, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	well, _ := counted(t)
	text := strings.Replace(hedged("transport: direct", "{after: 1ms}"), `{url: "${UPSTREAM}"}`, `{url: "${UPSTREAM}"}, {url: "`+well+`"}`, 1)
	p, saw := apply(t, text, hangs)
	url := listen(t, p)
	won := 0
	for range 6 {
		if resp, _ := get(t, url); resp.StatusCode != 200 {
			t.Errorf("status %d, want 200", resp.StatusCode)
		}
		if _, ok := saw.next(t).noted(exchange.HedgeWon); ok {
			won++
		}
	}
	if won < 2 {
		t.Errorf("%d of 6 requests were answered by a hedge, want those whose first attempt went to the endpoint that hangs", won)
	}
}

// Both attempts answer at the same moment: whoever wins, its answer is whole.
func TestAnswersThatMeet(t *testing.T) {
	for way, upstream := range ways {
		t.Run(way, func(t *testing.T) {
			second := make(chan struct{})
			up := service(t, func(w http.ResponseWriter, r *http.Request) {
				n := r.Header.Get(attemptHeader)
				if n == "" {
					select {
					case <-second:
					case <-r.Context().Done():
						return
					}
				} else {
					select {
					case second <- struct{}{}:
					case <-r.Context().Done():
						return
					}
				}
				w.Header().Set("X-Attempt", n)
				_, _ = io.WriteString(w, strings.Repeat("x", large))
			})
			p, saw := apply(t, hedged(upstream+", retryBudget: {percent: 100}", "{after: 1ms}"), up)
			url, c := listen(t, p), client(t)
			for range 20 {
				resp, err := c.Get(url)
				if err != nil {
					t.Fatal(err)
				}
				if text := body(t, resp); resp.StatusCode != 200 || len(text) != large {
					t.Fatalf("%d with %d bytes, want 200 with all of them", resp.StatusCode, len(text))
				}
				saw.next(t)
			}
			if events := saw.transitions(); len(events) > 0 {
				t.Errorf("events %v, want none: nothing failed", events)
			}
		})
	}
}

// The drill delays half of all attempts, for an hour.
func TestADrillOfDelaysIsAbsorbedByHedges(t *testing.T) {
	p, saw := apply(t, hedged("retryBudget: {percent: 1000}", "{after: 1ms}"), waits(t))
	url, c := listen(t, p), client(t)
	delayed := 0
	for i := range 20 {
		r, _ := http.NewRequest("GET", url+"/drill", nil)
		r.Header.Set("X-Request-Id", fmt.Sprint("request-", i))
		resp, err := c.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		if text := body(t, resp); resp.StatusCode != 200 || len(text) != large || resp.Header.Get("X-Sidecar-Fault") != "" {
			t.Errorf("%d with %d bytes and the fault %q, want an attempt's that met none",
				resp.StatusCode, len(text), resp.Header.Get("X-Sidecar-Fault"))
		}
		if e := saw.next(t); e.Attempts > 1 {
			delayed++
		}
	}
	if delayed < 3 { // on a slow machine also those that met no fault
		t.Errorf("%d of 20 requests had hedges, want about half at least", delayed)
	}
}

func TestKnownTimesSurviveAReload(t *testing.T) {
	text := hedged("transport: direct", "{after: p95}")
	p, _ := apply(t, text, "http://127.0.0.1:1")
	times := func() *retry.Times {
		all := objects[*retry.Times](p.Snapshot().state)
		if len(all) != 1 {
			t.Fatalf("%d times are kept, want those of one route", len(all))
		}
		return all[0]
	}
	before := times()
	for _, tt := range []struct {
		change, to string
		kept       bool
	}{
		{"version: v1", "# a line\nversion: v1", true},
		{"after: p95", "after: p95, max: 2", true},
		{"after: p95", "after: p90", false},
	} {
		if err := p.Apply(parse(t, strings.Replace(text, tt.change, tt.to, 1), "http://127.0.0.1:1")); err != nil {
			t.Fatal(err)
		}
		if got := times() == before; got != tt.kept {
			t.Errorf("%s: the times are kept: %t, want %t", tt.to, got, tt.kept)
		}
	}
}

// refuses is an HTTP/2 server that has done nothing for the first request it
// gets, says so as first does, and answers all others.
func refuses(t *testing.T, first func(f *http2.Framer, stream uint32)) (url string, calls *atomic.Int32) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	calls = new(atomic.Int32)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go frame(c, calls, first)
		}
	}()
	return "http://" + l.Addr().String(), calls
}

func frame(c net.Conn, calls *atomic.Int32, first func(f *http2.Framer, stream uint32)) {
	defer c.Close()
	in := bufio.NewReader(c)
	if _, err := in.Discard(len(http2.ClientPreface)); err != nil {
		return
	}
	f := http2.NewFramer(c, in)
	_ = f.WriteSettings()
	for {
		got, err := f.ReadFrame()
		if err != nil {
			return
		}
		switch got := got.(type) {
		case *http2.HeadersFrame:
			if calls.Add(1) == 1 {
				first(f, got.StreamID)
				continue
			}
			_ = f.WriteHeaders(http2.HeadersFrameParam{
				StreamID: got.StreamID, EndHeaders: true, EndStream: true, BlockFragment: []byte{0x88}, // :status 200
			})
		case *http2.SettingsFrame:
			if !got.IsAck() {
				_ = f.WriteSettingsAck()
			}
		}
	}
}

// Neither has done anything with the request (RFC 9113 sections 8.7 and 6.8), so
// that it is repeated whatever its method.
func TestWhatHTTP2RefusedUnseenIsRepeated(t *testing.T) {
	tests := []struct {
		name    string
		retryOn string
		first   func(f *http2.Framer, stream uint32)
		status  int
	}{
		{"REFUSED_STREAM", "reset-before-request", func(f *http2.Framer, stream uint32) {
			_ = f.WriteRSTStream(stream, http2.ErrCodeRefusedStream)
		}, 200},
		{"REFUSED_STREAM, by Envoy's word", "refused-stream", func(f *http2.Framer, stream uint32) {
			_ = f.WriteRSTStream(stream, http2.ErrCodeRefusedStream)
		}, 200},
		{"GOAWAY before it", "reset-before-request", func(f *http2.Framer, _ uint32) {
			_ = f.WriteGoAway(0, http2.ErrCodeEnhanceYourCalm, nil)
		}, 200},
		{"another RST_STREAM says nothing of it", "reset-before-request, reset", func(f *http2.Framer, stream uint32) {
			_ = f.WriteRSTStream(stream, http2.ErrCodeInternal)
		}, 502},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			up, calls := refuses(t, tt.first)
			text := strings.Replace(with("retry: {retryOn: ["+tt.retryOn+"], backoff: {base: 0s, max: 0s}}", "retry: {}"),
				"endpoints:", "protocol: h2c, endpoints:", 1)
			text = strings.Replace(text, "policies:\n  retry: {}\n", "", 1)
			p, saw := apply(t, text, up)
			resp, err := client(t).Post(listen(t, p), "text/plain", strings.NewReader("hello"))
			if err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
			e := saw.next(t)
			if want := 1 + min(1, 200/tt.status); resp.StatusCode != tt.status || e.Attempts != want || int(calls.Load()) != want {
				t.Errorf("%d after %d attempts, %d calls, want %d after %d", resp.StatusCode, e.Attempts, calls.Load(), tt.status, want)
			}
		})
	}
}

// A fault that answered an attempt which another overtook has not made the
// answer.
func TestTheFaultOfAnOvertakenAttemptIsNotTold(t *testing.T) {
	for name, want := range map[string]string{
		"":      `sidecar;received-status=200;details="hedged"`,
		"other": `sidecar;received-status=200;details="hedged"`,
		"chaos": `sidecar;error=proxy_internal_response;details="fault/chaos fault_abort"`,
	} {
		rec := &exchange.Record{Answered: &exchange.Attempt{Fault: name}}
		rec.NextAttempt()
		rec.NextAttempt()
		rec.Note(exchange.Decision{Kind: exchange.Retry, Policy: "quick", Outcome: exchange.Act, Reason: exchange.Hedged})
		rec.Note(exchange.Decision{Kind: exchange.Fault, Policy: "chaos", Outcome: exchange.Act, Reason: exchange.FaultAbort})
		rec.Note(exchange.Decision{Kind: exchange.Retry, Policy: "quick", Outcome: exchange.Pass, Reason: exchange.HedgeWon})
		if got := proxyStatus(rec, 200); got != want {
			t.Errorf("the answer met the fault %q: Proxy-Status = %s, want %s", name, got, want)
		}
	}
}

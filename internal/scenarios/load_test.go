package main

import (
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func answer(r *http.Request, status int, contentType string) *http.Response {
	return &http.Response{StatusCode: status, Header: http.Header{"Content-Type": {contentType}}, Body: io.NopCloser(strings.NewReader("x")), Request: r}
}

// A service that stands still for two of ten seconds has kept a fifth of the
// requests waiting, one second on average. Who sends only when the one before is
// answered would have seen a single one.
func TestALoadCountsFromWhenARequestIsDue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		s := load{url: "http://app/", rate: 100, length: 10 * time.Second, patience: time.Minute}.over(roundTripper(func(r *http.Request) (*http.Response, error) {
			if now := time.Since(start); now >= 4*time.Second && now < 6*time.Second {
				time.Sleep(6*time.Second - now)
			}
			return answer(r, 200, "text/plain"), nil
		}))
		if len(s) != 1000 || len(s.good()) != 1000 {
			t.Fatalf("%d requests, %d good, want 1000", len(s), len(s.good()))
		}
		waited := s.that(func(one sample) bool { return one.took > 0 })
		if len(waited) != 200 || waited.quantile(0.5) != 1010*time.Millisecond || waited.quantile(1) != 2*time.Second {
			t.Errorf("%d waited, half of them %v at most, all %v, want 200, 1.01s, 2s", len(waited), waited.quantile(0.5), waited.quantile(1))
		}
		if got := s.between(4*time.Second, 6*time.Second); len(got) != 200 {
			t.Errorf("%d were due while it stood still, want 200", len(got))
		}
	})
}

func TestWhatBecomesOfARequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var turn atomic.Int32
		s := load{url: "http://app/", rate: 1, length: 4 * time.Second, patience: 2 * time.Second}.over(roundTripper(func(r *http.Request) (*http.Response, error) {
			switch turn.Add(1) {
			case 1:
				return answer(r, 503, "application/problem+json"), nil
			case 2:
				return answer(r, 503, "text/plain"), nil
			case 3:
				<-r.Context().Done()
				return nil, r.Context().Err()
			}
			return nil, io.ErrUnexpectedEOF
		}))
		want := samples{
			{due: 0, status: 503, ours: true},
			{due: time.Second, status: 503},
			{due: 2 * time.Second, took: 2 * time.Second},
			{due: 3 * time.Second},
		}
		for i := range want {
			s[i].sent = time.Time{}
			if s[i] != want[i] {
				t.Errorf("request %d: %+v, want %+v", i, s[i], want[i])
			}
		}
	})
}

func TestALineIsServedInTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLine(2)
		var mu sync.Mutex // guards order
		var order []int
		var all sync.WaitGroup
		for i := range 6 {
			all.Go(func() {
				l.enter()
				mu.Lock()
				order = append(order, i)
				mu.Unlock()
				time.Sleep(time.Second)
				l.leave()
			})
			synctest.Wait()
			time.Sleep(time.Millisecond)
		}
		start := time.Now()
		all.Wait()
		for i := range order {
			if order[i] != i {
				t.Fatalf("served in the order %v, want as they came", order)
			}
		}
		if took := time.Since(start).Round(100 * time.Millisecond); took != 3*time.Second {
			t.Errorf("six of a second each took two workers %v, want 3s", took)
		}
	})
}

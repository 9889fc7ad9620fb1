//go:build soak

package main

import (
	"cmp"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// These take longer than a test of every day: make soak runs them.

func TestSoakReloads(t *testing.T) {
	upstream := well(t)
	r := run(t, minimal(upstream))
	l := newLoad(r.data)
	for i := range 50 {
		write(t, r.policy, strings.Replace(minimal(upstream), "endpoints:", fmt.Sprintf("pool: {maxIdle: %d}, endpoints:", 10+i), 1))
		r.signal(syscall.SIGHUP)
		r.line("policy reloaded")
		sent := l.sent.Load()
		eventually(t, "50 requests more", func() bool { return l.sent.Load() >= sent+50 })
	}
	l.end(t)
	t.Logf("50 reloads under load: %d requests, %d failed", l.sent.Load(), l.failed.Load())
}

func TestSoakDrains(t *testing.T) {
	upstream := well(t)
	var sent int64
	for range 20 {
		sent += drainUnderLoad(t, upstream)
	}
	t.Logf("20 drains under load: %d requests", sent)
}

// The breaker opens when the upstream fails, refuses at once while it does,
// and closes soon after it is well again; all under load.
func TestSoakBreaker(t *testing.T) {
	var broken atomic.Bool
	var called atomic.Int64
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		called.Add(1)
		if broken.Load() {
			w.WriteHeader(http.StatusInternalServerError)
			return
		}
		fmt.Fprint(w, "well")
	}))
	defer upstream.Close()
	r := run(t, "version: v1\n"+ports+"\nupstreams: {app: {endpoints: [{url: \""+upstream.URL+"\"}]}}\n"+`
policies: {circuitBreaker: {quick: {minRequests: 20, openFor: {base: 200ms, max: 400ms}}}}
routes: [{name: all, upstream: app, use: {circuitBreaker: quick}}]
`)
	var mu sync.Mutex
	byStatus := map[int]int{}
	stop := make(chan struct{})
	var clients sync.WaitGroup
	for range 8 {
		clients.Go(func() {
			transport := &http.Transport{}
			defer transport.CloseIdleConnections()
			for {
				select {
				case <-stop:
					return
				default:
				}
				resp, err := (&http.Client{Transport: transport}).Get(r.data)
				if err != nil {
					t.Error(err)
					return
				}
				_, _ = io.Copy(io.Discard, resp.Body)
				resp.Body.Close()
				mu.Lock()
				byStatus[resp.StatusCode]++
				mu.Unlock()
			}
		})
	}
	count := func(status int) int {
		mu.Lock()
		defer mu.Unlock()
		return byStatus[status]
	}
	eventually(t, "traffic", func() bool { return count(200) > 500 })
	broken.Store(true)
	eventually(t, "the breaker opens", func() bool { return count(503) > 1000 })
	calls, refused := called.Load(), count(503)
	eventually(t, "it refuses", func() bool { return count(503) > refused+2000 })
	if leaked := called.Load() - calls; leaked > 200 {
		t.Errorf("%d calls reach the failing upstream while 2000 are refused, want probes only", leaked)
	}
	broken.Store(false)
	well, start := count(200), time.Now()
	eventually(t, "it recovers", func() bool { return count(200) > well+500 })
	t.Logf("recovered %v after the upstream was well", time.Since(start).Round(time.Millisecond))
	close(stop)
	clients.Wait()
	t.Logf("answers by status: %v", byStatus)
}

// Clients that leave in the middle leave nothing behind: after the first
// 10,000 nothing grows any more, however many come.
func TestSoakClientsThatLeave(t *testing.T) {
	const each, rounds = 10_000, 6
	upstream := httptest.NewServer(http.HandlerFunc(withoutEnd))
	defer upstream.Close()
	// Idle connections are no leak: they shall be gone soon.
	r := run(t, strings.Replace(minimal(upstream.URL), "endpoints:", "pool: {idleTimeout: 500ms}, endpoints:", 1))
	atRest := collected(t, r)
	t.Logf("at rest         %v", atRest)
	var after []held
	for i := range 1 + rounds {
		// A few at a time: Go keeps what it needs for as many goroutines as
		// there ever were at once.
		for range each / 500 {
			leave(t, r, 500)
		}
		eventually(t, "goroutines and descriptors are given back", func() bool {
			now := holds(t, r)
			return now.goroutines <= atRest.goroutines+2 && now.descriptors <= atRest.descriptors+2
		})
		after = append(after, collected(t, r))
		t.Logf("after %6d    %v", (1+i)*each, after[i])
	}
	// The first ones filled the pools, and do not count.
	if grown := (after[rounds].live - after[0].live) / (rounds * each); grown > 16 {
		t.Errorf("each client leaves %.0f bytes on the heap", grown)
	}
	resident := func(a, b held) int { return cmp.Compare(a.resident, b.resident) }
	early, late := slices.MaxFunc(after[:rounds/2], resident), slices.MinFunc(after[1+rounds/2:], resident)
	if late.resident > 1.5*early.resident { // it depends on when garbage is collected, too
		t.Errorf("the process has %s at least in the later rounds, and %s at most in the earlier ones", mib(late.resident), mib(early.resident))
	}
	if _, text := ask(t, "GET", r.telemetry+"/metrics", ""); strings.Contains(text, `sidecar_circuit_breaker_state{name="default@app",state="open"} 1`) {
		t.Error("clients that left have opened the breaker")
	}
	r.signal(os.Interrupt)
	if code := r.exit(); code != 0 {
		t.Errorf("exit code %d, want 0", code)
	}
}

// withoutEnd answers so that a client can leave in the middle.
func withoutEnd(w http.ResponseWriter, r *http.Request) {
	switch r.URL.Path {
	case "/hangs":
		<-r.Context().Done()
	case "/streams":
		for r.Context().Err() == nil {
			if _, err := w.Write(make([]byte, 4<<10)); err != nil {
				return
			}
		}
	case "/echoes":
		w.Header().Set("Connection", "Upgrade")
		w.Header().Set("Upgrade", "websocket")
		w.WriteHeader(http.StatusSwitchingProtocols)
		c, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		_, _ = io.Copy(c, c)
		c.Close()
	default:
		_, _ = io.Copy(io.Discard, r.Body)
		fmt.Fprint(w, "well")
	}
}

// leave has n clients come and leave in the middle, and returns when the
// sidecar has done with them.
func leave(t *testing.T, r *running, n int) {
	t.Helper()
	const moment, answer = 5 * time.Millisecond, time.Second
	requests := []struct {
		text string
		wait time.Duration // of those that wait
	}{
		{"GET /hangs HTTP/1.1\r\nHost: h\r\n\r\n", moment},
		{"GET /streams HTTP/1.1\r\nHost: h\r\n\r\n", answer},
		{"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1000\r\n\r\nnot all of it", moment},
		{"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n", moment},
		{"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1000000\r\n\r\n" + strings.Repeat("more than is buffered", 5_000), moment},
		{"GET /echoes HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nhello", answer},
		{"GET / HTTP/1.1\r\nHo", moment},
	}
	var clients sync.WaitGroup
	next := make(chan int)
	for range 50 {
		clients.Go(func() {
			for i := range next {
				c, err := net.Dial("tcp", strings.TrimPrefix(r.data, "http://"))
				if err != nil {
					t.Error(err)
					continue
				}
				request := requests[i%len(requests)]
				fmt.Fprint(c, request.text)
				if i%2 == 0 { // the others leave at once
					_ = c.SetReadDeadline(time.Now().Add(request.wait))
					_, _ = c.Read(make([]byte, 1<<10))
				}
				if i%3 == 0 { // some reset the connection
					_ = c.(*net.TCPConn).SetLinger(0)
				}
				c.Close()
			}
		})
	}
	for i := range n {
		next <- i
	}
	close(next)
	clients.Wait()
	inFlight(t, r, 0)
}

// held is what a process holds, by its own metrics.
type held struct{ live, resident, goroutines, descriptors, collections float64 }

func (h held) String() string {
	return fmt.Sprintf("%s live, %s resident, %.0f goroutines, %.0f descriptors", mib(h.live), mib(h.resident), h.goroutines, h.descriptors)
}

func mib(bytes float64) string { return fmt.Sprintf("%.2f MiB", bytes/(1<<20)) }

func holds(t *testing.T, r *running) (h held) {
	t.Helper()
	_, text := ask(t, "GET", r.telemetry+"/metrics", "")
	for name, into := range map[string]*float64{
		"go_gc_heap_live_bytes": &h.live, "process_resident_memory_bytes": &h.resident,
		"go_goroutines": &h.goroutines, "process_open_fds": &h.descriptors, "go_gc_duration_seconds_count": &h.collections,
	} {
		_, value, found := strings.Cut(text, "\n"+name+" ")
		if _, err := fmt.Sscan(value, into); !found || err != nil {
			t.Fatalf("metrics: no %s: %v", name, err)
		}
	}
	return h
}

// collected returns what is held when garbage is collected: the least of some
// collections, as each finds in use what is made while it runs, and the first
// two what was in pools. Being asked is what makes the garbage.
func collected(t *testing.T, r *running) held {
	t.Helper()
	var all []held
	for last := holds(t, r); len(all) < 5; {
		if now := holds(t, r); now.collections > last.collections {
			all, last = append(all, now), now
		}
	}
	return slices.MinFunc(all, func(a, b held) int { return cmp.Compare(a.live, b.live) })
}

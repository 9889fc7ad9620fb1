//go:build soak

package main

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"strconv"
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

// 10,000 clients that leave in the middle leave nothing behind.
func TestSoakClientsThatLeave(t *testing.T) {
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/hangs":
			<-r.Context().Done()
		case "/streams":
			for r.Context().Err() == nil {
				if _, err := w.Write(make([]byte, 4<<10)); err != nil {
					return
				}
			}
		default:
			_, _ = io.Copy(io.Discard, r.Body)
			fmt.Fprint(w, "well")
		}
	}))
	defer upstream.Close()
	r := run(t, minimal(upstream.URL))
	leave := func(n int) {
		requests := []string{
			"GET /hangs HTTP/1.1\r\nHost: h\r\n\r\n",
			"GET /streams HTTP/1.1\r\nHost: h\r\n\r\n",
			"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1000\r\n\r\nnot all of it",
			"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
			"GET / HTTP/1.1\r\nHo",
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
					fmt.Fprint(c, requests[i%len(requests)])
					if i%2 == 0 { // some are seen to arrive
						_ = c.SetReadDeadline(time.Now().Add(5 * time.Millisecond))
						_, _ = c.Read(make([]byte, 1<<10))
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
	atRest := gauges(t, r)
	leave(10_000) // fills the pools of buffers
	settled := func() bool {
		now := gauges(t, r)
		return now["go_goroutines"] <= atRest["go_goroutines"]+20 && now["process_open_fds"] <= atRest["process_open_fds"]+20
	}
	eventually(t, "goroutines and descriptors are given back", settled)
	before := gauges(t, r)
	leave(10_000)
	eventually(t, "goroutines and descriptors are given back", settled)
	if heap, first := gauges(t, r)[heapInUse], before[heapInUse]; heap > 1.5*first+(8<<20) {
		t.Errorf("the heap holds %.0f bytes after as many clients again, %.0f before", heap, first)
	}
	t.Logf("at rest %v\nafter 10,000 %v\nafter 20,000 %v", atRest, before, gauges(t, r))
	if _, text := ask(t, "GET", r.telemetry+"/metrics", ""); strings.Contains(text, `sidecar_circuit_breaker_state{name="default@app",state="open"} 1`) {
		t.Error("clients that left have opened the breaker")
	}
	r.signal(os.Interrupt)
	if code := r.exit(); code != 0 {
		t.Errorf("exit code %d, want 0", code)
	}
}

const heapInUse = "go_memstats_heap_inuse_bytes"

// gauges returns what the process holds.
func gauges(t *testing.T, r *running) map[string]float64 {
	t.Helper()
	_, text := ask(t, "GET", r.telemetry+"/metrics", "")
	all := map[string]float64{}
	for _, m := range regexp.MustCompile(`(?m)^(go_goroutines|process_open_fds|go_memstats_heap_inuse_bytes|process_resident_memory_bytes) (\S+)$`).FindAllStringSubmatch(text, -1) {
		n, err := strconv.ParseFloat(m[2], 64)
		if err != nil {
			t.Fatal(err)
		}
		all[m[1]] = n
	}
	return all
}

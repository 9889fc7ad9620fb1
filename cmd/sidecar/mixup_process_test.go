package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// said is a text of n bytes that nobody else says.
func said(id string, n int) string { return strings.Repeat(id+",", n/len(id)+1)[:n] }

// afterwards is what becomes of the upstream's connection.
type afterwards int

const (
	keeps afterwards = iota
	ends
	resets
)

// misdeeds are the answers of a service that does what it should not. A body that
// breaks off is never one that could be taken for whole.
var misdeeds = []struct {
	name string
	text func(r *http.Request, id, body string) string
	then afterwards
}{
	{"whole", whole, keeps},
	{"whole again", whole, keeps},
	{"chunks", chunked, keeps},
	{"hints first", func(r *http.Request, id, body string) string {
		return strings.Repeat("HTTP/1.1 103 Early Hints\r\nLink: <"+id+">\r\n\r\n", 3) + whole(r, id, body)
	}, keeps},
	{"a body until the end", func(r *http.Request, id, body string) string {
		return headed("1.1 200", id, body) + "\r\n" + of(r, body)
	}, ends},
	{"HTTP/1.0", func(r *http.Request, id, body string) string {
		return strings.Replace(whole(r, id, body), "HTTP/1.1", "HTTP/1.0", 1)
	}, ends},
	{"an answer too many", func(r *http.Request, id, _ string) string {
		return whole(r, id, said(id, 10)) + whole(r, tooMany, "poison")
	}, keeps},
	{"no body, and an answer too many", func(r *http.Request, id, _ string) string {
		return headed("1.1 304", id, "") + "\r\n" + whole(r, tooMany, "poison")
	}, keeps},
	{"a failure", func(r *http.Request, id, body string) string {
		return strings.Replace(whole(r, id, body), "200", "503", 1)
	}, keeps},
	{"the connection ends behind it", whole, ends},
	{"the connection is reset behind it", whole, resets},
	{"cut within the body", func(r *http.Request, id, body string) string { return half(whole(r, id, body), of(r, body)) }, ends},
	{"reset within the body", func(r *http.Request, id, body string) string { return half(whole(r, id, body), of(r, body)) }, resets},
	{"cut within the chunks", func(r *http.Request, id, body string) string {
		return strings.TrimSuffix(chunked(r, id, body), "0\r\n\r\n")
	}, ends},
	{"cut within the head", func(_ *http.Request, id, body string) string { return headed("1.1 200", id, body) }, ends},
	{"nothing", func(*http.Request, string, string) string { return "" }, resets},
}

// tooMany is whose answer nobody asked for. It comes at once with another one:
// later, nobody could tell it from the next.
const tooMany = "nobody"

func headed(status, id, body string) string {
	return "HTTP/" + status + " X\r\nX-Id: " + id + "\r\nX-Length: " + strconv.Itoa(len(body)) + "\r\n"
}

func of(r *http.Request, body string) string {
	if r.Method == http.MethodHead {
		return ""
	}
	return body
}

func whole(r *http.Request, id, body string) string {
	return headed("1.1 200", id, body) + "Content-Length: " + strconv.Itoa(len(body)) + "\r\n\r\n" + of(r, body)
}

func chunked(r *http.Request, id, body string) string {
	head := headed("1.1 200", id, body) + "Transfer-Encoding: chunked\r\n\r\n"
	if r.Method == http.MethodHead {
		return head
	}
	return head + fmt.Sprintf("%x;a=b\r\n%s\r\n0\r\n\r\n", len(body), body)
}

func half(text, body string) string { return text[:len(text)-(len(body)+1)/2] }

// mischief is a service that answers with the request's own id, somehow.
type mischief struct {
	t *testing.T

	mu    sync.Mutex // guards calls
	calls map[string]int
}

func (m *mischief) serve(c *net.TCPConn) {
	defer c.Close()
	for in := bufio.NewReader(c); ; {
		r, err := http.ReadRequest(in)
		if err != nil {
			return
		}
		m.mu.Lock()
		m.calls[r.Header.Get("X-Id")]++
		m.mu.Unlock()
		early := rand.IntN(2) == 0
		if !early && !m.read(r) {
			return
		}
		if then := m.answer(c, r); then != keeps {
			if then == resets {
				_ = c.SetLinger(0)
			}
			return
		}
		if early && !m.read(r) {
			return
		}
	}
}

func (m *mischief) read(r *http.Request) bool {
	got, err := io.ReadAll(r.Body)
	id := r.Header.Get("X-Id")
	if n, _ := strconv.Atoi(r.Header.Get("X-Length")); err == nil && string(got) != said(id, n) {
		m.t.Errorf("%s of %s: a body of %d bytes came as one of %d that looks whole", r.Method, id, n, len(got))
	}
	return err == nil
}

func (m *mischief) answer(c net.Conn, r *http.Request) afterwards {
	a := misdeeds[rand.IntN(len(misdeeds))]
	id := r.Header.Get("X-Id")
	text := a.text(r, id, said(id, 1+rand.IntN(40_000)))
	if rand.IntN(4) == 0 && !strings.Contains(text, tooMany) { // in two parts
		at := rand.IntN(len(text) + 1)
		_, _ = io.WriteString(c, text[:at])
		time.Sleep(time.Duration(rand.IntN(150)) * time.Millisecond)
		text = text[at:]
	}
	_, _ = io.WriteString(c, text)
	return a.then
}

// strange asks again and again, in all ways that a client has, and leaves when
// it likes. It looks at what it gets.
func strange(t *testing.T, url string, name int, until <-chan struct{}, served *atomic.Int64) {
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	for i := 0; ; i++ {
		select {
		case <-until:
			return
		default:
		}
		method := []string{"GET", "HEAD", "POST", "PUT"}[rand.IntN(4)]
		id := fmt.Sprintf("%d-%d-%s", name, i, method)
		n, length := 0, int64(0)
		if method[0] == 'P' {
			n = []int{1, 64 << 10, 150_000}[rand.IntN(3)]
			length = []int64{int64(n), -1}[rand.IntN(2)]
		}
		ctx, leave := context.WithTimeout(t.Context(), patience)
		if rand.IntN(4) == 0 {
			time.AfterFunc(time.Duration(rand.IntN(50))*time.Millisecond, leave)
		}
		r, err := http.NewRequestWithContext(ctx, method, url, inParts(said(id, n)))
		if err != nil {
			t.Error(err)
		}
		r.ContentLength = length
		r.Header.Set("X-Id", id)
		r.Header.Set("X-Length", strconv.Itoa(n))
		if resp, err := transport.RoundTrip(r); err == nil {
			served.Add(look(t, r, resp))
		}
		if errors.Is(ctx.Err(), context.DeadlineExceeded) {
			t.Errorf("%s of %s does not end", method, id)
		}
		leave()
	}
}

// inParts is text that comes in parts.
func inParts(text string) io.Reader {
	if text == "" {
		return nil
	}
	at := rand.IntN(len(text))
	return io.MultiReader(strings.NewReader(text[:at]), pausing{}, strings.NewReader(text[at:]))
}

// pausing is nothing, after a while.
type pausing struct{}

func (pausing) Read([]byte) (int, error) {
	time.Sleep(time.Duration(rand.IntN(20)) * time.Millisecond)
	return 0, io.EOF
}

// look returns 1 if the upstream's whole answer came.
func look(t *testing.T, r *http.Request, resp *http.Response) int64 {
	defer resp.Body.Close()
	id, got := r.Header.Get("X-Id"), resp.Header.Get("X-Id")
	if got == "" && resp.StatusCode >= 400 {
		return 0 // the sidecar's own word
	}
	if got != id {
		t.Errorf("%s of %s gets %d, the answer to %q", r.Method, id, resp.StatusCode, got)
	}
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return 0 // it broke off, and says so
	}
	n, _ := strconv.Atoi(resp.Header.Get("X-Length"))
	if want := of(r, said(id, n)); string(body) != want {
		t.Errorf("%s of %s gets a body of %d bytes that looks whole, want %d", r.Method, id, len(body), len(want))
	}
	return 1
}

// However clients and upstream behave: nobody gets what was meant for somebody
// else, or a part of it that looks whole, and nothing is done twice.
func TestNobodyGetsAnothersAnswer(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	m := &mischief{t: t, calls: map[string]int{}}
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			serving.Go(func() { m.serve(c.(*net.TCPConn)) })
		}
	})
	policy := "version: v1\n" + ports + "\nupstreams: {app: {endpoints: [{url: \"http://" + l.Addr().String() + `"}],
  pool: {maxIdle: 8, idleTimeout: 100ms}, retryBudget: {percent: 100, minPerSecond: 1000}}}
policies: {retry: {eager: {maxAttempts: 4, retryOn: [connect-failure, reset-before-request, reset, timeout, "503"],
  perTryTimeout: 60ms, backoff: {base: 1ms, max: 2ms}}}}
routes: [{name: all, upstream: app, timeout: 300ms, streamIdleTimeout: 400ms, use: {retry: eager, circuitBreaker: none}}]
`
	r := run(t, policy)
	before := r.level("go_goroutines")
	stop := make(chan struct{})
	var clients sync.WaitGroup
	var served atomic.Int64
	for i := range 64 {
		clients.Go(func() { strange(t, r.data, i, stop, &served) })
	}
	for i := range 3 { // each retires the connections under way
		enough := served.Load() + 1000
		eventually(t, "1000 whole answers more", func() bool { return served.Load() >= enough })
		write(t, r.policy, strings.Replace(policy, "maxIdle: 8", "maxIdle: "+strconv.Itoa(9+i), 1))
		r.signal(syscall.SIGHUP)
	}
	close(stop)
	clients.Wait()
	eventually(t, "as few goroutines as before", func() bool { return r.level("go_goroutines") < before+10 })
	r.signal(syscall.SIGTERM)
	if code := r.exit(); code != 0 {
		t.Errorf("exit code %d, want 0: %s", code, r.out)
	}
	l.Close()
	serving.Wait()

	for id, n := range m.calls {
		if n > 1 && strings.HasSuffix(id, "POST") {
			t.Errorf("%s came %d times, want once", id, n)
		}
	}
}

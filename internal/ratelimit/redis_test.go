package ratelimit

import (
	"bufio"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/redis/go-redis/v9"

	"sidecar/internal/certs/certstest"
	"sidecar/internal/exchange"
)

// server is a real Redis, which ends with the test.
type server struct {
	t    *testing.T
	addr string
	args []string
	cmd  *exec.Cmd
}

// startRedis starts a Redis on a port of its own.
func startRedis(t *testing.T, args ...string) *server {
	t.Helper()
	if _, err := exec.LookPath("redis-server"); err != nil {
		t.Skip("redis-server is not installed")
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &server{t: t, addr: l.Addr().String(), args: args}
	l.Close()
	s.start()
	t.Cleanup(s.kill)
	return s
}

func (s *server) start() {
	s.t.Helper()
	_, port, _ := net.SplitHostPort(s.addr)
	args := []string{"--port", port}
	if len(s.args) > 0 && s.args[0] == "--tls" {
		args = append([]string{"--port", "0", "--tls-port", port}, s.args[1:]...)
	} else {
		args = append(args, s.args...)
	}
	s.cmd = exec.Command("redis-server", append(args, "--bind", "127.0.0.1", "--save", "", "--dir", s.t.TempDir())...)
	if err := s.cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	for range 500 {
		if c, err := net.Dial("tcp", s.addr); err == nil {
			c.Close()
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	s.t.Fatal("redis-server does not listen")
}

func (s *server) kill() {
	_ = s.cmd.Process.Kill()
	_ = s.cmd.Wait()
}

func (s *server) signal(sig syscall.Signal) { _ = s.cmd.Process.Signal(sig) }

func (s *server) client(password string) *redis.Client {
	c := redis.NewClient(&redis.Options{Addr: s.addr, Password: password, Protocol: 2})
	s.t.Cleanup(func() { c.Close() })
	return c
}

// at returns the store at s, as another process would have it.
func (s *server) at(change ...func(*StoreConfig)) *Store {
	return redisAtAddr(s.t, s.addr, "", nil, change...)
}

func redisAtAddr(t *testing.T, addr, password string, config *tls.Config, change ...func(*StoreConfig)) *Store {
	t.Helper()
	var c StoreConfig
	c.SetDefaults()
	c.RedisURL, c.Timeout = "redis://"+addr, 500*time.Millisecond // a busy machine is no failure
	for _, change := range change {
		change(&c)
	}
	s := NewStore("shared", c, password, config, func(exchange.Event) {})
	t.Cleanup(s.Close)
	return s
}

// patiently calls until it holds, for 10s at most.
func patiently(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for range 1000 {
		if holds() {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatalf("not within 10s: %s", what)
}

func inRedis(c Config) Config {
	c.Store, c.OnStoreFailure = "shared", Deny
	return c
}

// Two processes with the same policy let by together what it says.
func TestReplicasShareALimit(t *testing.T) {
	s := startRedis(t)
	tests := []struct {
		name string
		c    Config
		most int64
	}{
		{"tokenBucket", config("1/h", 40), 40},
		{"slidingWindow", sliding("40/h"), 40},
		{"leakyBucket", leaky("1/h", 40, time.Millisecond), 40},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := inRedis(tt.c)
			one := NewGate(limiterIn(t, "all-"+tt.name, c, s.at()))
			two := NewGate(limiterIn(t, "all-"+tt.name, c, s.at()))
			var passed atomic.Int64
			var wg sync.WaitGroup
			for _, g := range []*Gate{one, two} {
				for range 4 {
					wg.Go(func() {
						for range 20 {
							if ask(t, g).Refused == "" {
								passed.Add(1)
							}
						}
					})
				}
			}
			wg.Wait()
			if got := passed.Load(); got != tt.most {
				t.Errorf("%d requests passed both, want %d", got, tt.most)
			}
		})
	}
}

func TestRedisTellsWhatIsLeft(t *testing.T) {
	s := startRedis(t)
	tests := []struct {
		name string
		c    Config
		want []told
	}{
		{"tokenBucket", config("60/h", 2), []told{
			{Policy: []string{`"tokenBucket";q=2;w=120`}, Limit: []string{`"tokenBucket";r=1;t=60`}},
			{Policy: []string{`"tokenBucket";q=2;w=120`}, Limit: []string{`"tokenBucket";r=0;t=60`}},
			{Policy: []string{`"tokenBucket";q=2;w=120`}, Limit: []string{`"tokenBucket";r=0;t=60`}, Refused: "tokenBucket", Spent: []string{"tokenBucket"}, RetryAfter: "60"},
		}},
		{"leakyBucket", leaky("60/h", 2, 30*time.Second), []told{
			{Policy: []string{`"leakyBucket";q=2;w=150`}, Limit: []string{`"leakyBucket";r=1;t=60`}},
			{Policy: []string{`"leakyBucket";q=2;w=150`}, Limit: []string{`"leakyBucket";r=0;t=30`}},
			{Policy: []string{`"leakyBucket";q=2;w=150`}, Limit: []string{`"leakyBucket";r=0;t=30`}, Refused: "leakyBucket", Spent: []string{"leakyBucket"}, RetryAfter: "30"},
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			g := NewGate(limiterIn(t, tt.name, inRedis(tt.c), s.at()))
			for i, want := range tt.want {
				if diff := cmp.Diff(want, ask(t, g)); diff != "" {
					t.Errorf("request %d (-want +got):\n%s", i+1, diff)
				}
			}
		})
	}
	t.Run("slidingWindow", func(t *testing.T) {
		g := NewGate(limiterIn(t, "slidingWindow", inRedis(sliding("2/h")), s.at()))
		for i, want := range []string{`"slidingWindow";r=1;t=3`, `"slidingWindow";r=0;t=3`, `"slidingWindow";r=0;t=3`} {
			got := ask(t, g) // in 3600 to 3960s, by where in its part it is
			if refused := got.Refused != ""; refused != (i == 2) || !strings.HasPrefix(got.Limit[0], want) {
				t.Errorf("request %d: %+v, want %s...", i+1, got, want)
			}
		}
	})
}

// The window in Redis goes on by its clock, so a short one is watched.
func TestTheWindowInRedisSlides(t *testing.T) {
	g := NewGate(limiterIn(t, "window", inRedis(sliding("5/s")), startRedis(t).at()))
	var passed []time.Time
	for end := time.Now().Add(3 * time.Second); time.Now().Before(end); {
		before := time.Now()
		if ask(t, g).Refused == "" {
			passed = append(passed, before)
		}
		time.Sleep(5 * time.Millisecond)
	}
	for i := range passed[:max(len(passed)-5, 0)] {
		if within := passed[i+5].Sub(passed[i]); within < 950*time.Millisecond {
			t.Errorf("6 requests passed within %v, want at most 5 a second", within)
		}
	}
	if len(passed) < 10 {
		t.Errorf("%d requests passed in 3s, want 10 at least", len(passed))
	}
}

func TestRedisGivesBack(t *testing.T) {
	s := startRedis(t)
	for name, c := range map[string]Config{"token": config("1/h", 1), "window": sliding("1/h"), "leaky": leaky("1/h", 1, time.Millisecond)} {
		t.Run(name, func(t *testing.T) {
			store := s.at()
			first := limiterIn(t, "first-"+name, inRedis(c), store)
			second := limiterIn(t, "second-"+name, inRedis(config("1/h", 1)), store)
			if got := ask(t, NewGate(second)); got.Refused != "" {
				t.Fatal("the second limit is spent from the start")
			}
			for range 3 {
				if got := ask(t, NewGate(first, second)); got.Refused != second.name {
					t.Fatalf("refused by %q, want by the second", got.Refused)
				}
			}
			if got := ask(t, NewGate(first)); got.Refused != "" {
				t.Error("the first limit was spent by requests that the second refused")
			}
		})
	}
}

// What was written an hour ahead, by a clock that was set back or by another
// Redis, must not bind for an hour.
func TestAClockThatIsSetBackSpendsNoLimit(t *testing.T) {
	s := startRedis(t)
	c := s.client("")
	place := func(key string, at time.Time) error {
		return c.Set(t.Context(), key, fmt.Sprintf("%d.000", at.UnixMicro()), time.Hour).Err()
	}
	part := func(key string, at time.Time) error {
		return c.HSet(t.Context(), key, fmt.Sprint(at.UnixMicro()/(360*1e6)), 40).Err()
	}
	tests := []struct {
		name  string
		c     Config
		write func(key string, at time.Time) error
		ahead time.Duration
		ok    bool
	}{
		{"tokenBucket", config("40/h", 40), place, 2 * time.Hour, true},
		{"tokenBucket that is spent", config("40/h", 40), place, time.Hour, false},
		{"leakyBucket", leaky("1/s", 0, 10*time.Second), place, time.Minute, true},
		{"leakyBucket that is spent", leaky("1/s", 0, 10*time.Second), place, 11 * time.Second, false},
		{"slidingWindow", sliding("40/h"), part, 2 * time.Hour, true},
		{"slidingWindow, by less than the window", sliding("40/h"), part, 30 * time.Minute, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			l := limiterIn(t, tt.name, inRedis(tt.c), s.at())
			if err := tt.write(l.remote.prefix+"all", time.Now().Add(tt.ahead)); err != nil {
				t.Fatal(err)
			}
			if got := ask(t, NewGate(l)); (got.Refused == "") != tt.ok {
				t.Errorf("%v ahead: %+v, want passed: %v", tt.ahead, got, tt.ok)
			}
		})
	}
}

// Who has less time than maxWait is told when its time would be enough.
func TestRedisTellsTheImpatientWhenToComeBack(t *testing.T) {
	g := NewGate(limiterIn(t, "smooth", inRedis(leaky("6/m", 0, 30*time.Second)), startRedis(t).at()))
	ask(t, g)
	r, record := request(nil)
	record.Deadline = time.Now().Add(2500 * time.Millisecond)
	refusal, ok := errors.AsType[*exchange.Refusal](g.Check(r))
	if !ok || refusal.Header.Get("Retry-After") != "8" {
		t.Errorf("Check() = %+v, want a refusal for 8s: in 10s it is its turn", refusal)
	}
}

// A Redis whose AUTH has another name repeats what it was sent.
func TestNoErrorTellsThePassword(t *testing.T) {
	s := startRedis(t, "--requirepass", "hunter2", "--rename-command", "AUTH", "", "--rename-command", "HELLO", "")
	g := NewGate(limiterIn(t, "all", stored("1/h", Deny), redisAtAddr(t, s.addr, "hunter2", nil)))
	for range tolerance + 1 {
		r, _ := request(nil)
		refusal, ok := errors.AsType[*exchange.Refusal](g.Check(r))
		if !ok || !strings.Contains(refusal.Note, "unknown command") || strings.Contains(refusal.Note, "hunter2") {
			t.Errorf("Check() = %+v, want that a command is unknown, and nothing of the password", refusal)
		}
	}
}

func TestTheLeakyBucketInRedisShapes(t *testing.T) {
	s := startRedis(t)
	c := inRedis(leaky("10/s", 0, 250*time.Millisecond))
	var wg sync.WaitGroup
	var passed atomic.Int64
	begin := time.Now()
	for range 2 {
		g := NewGate(limiterIn(t, "smooth", c, s.at()))
		for range 4 {
			wg.Go(func() {
				if ask(t, g).Refused == "" {
					passed.Add(1)
				}
			})
		}
	}
	wg.Wait()
	if took := time.Since(begin); passed.Load() != 3 || took < 190*time.Millisecond {
		t.Errorf("%d of 8 passed within %v, want 3, the last of them after 200ms", passed.Load(), took)
	}
}

func TestFewWaitForATurnInRedis(t *testing.T) {
	c := inRedis(leaky("4/s", 0, 1250*time.Millisecond)) // slow enough for a busy machine
	c.MaxWaiting = 2
	l := limiterIn(t, "smooth", c, startRedis(t).at())
	g := NewGate(l)
	for range 2 { // the second time shows that nobody is counted who has left
		var wg sync.WaitGroup
		var passed atomic.Int64
		for range 8 {
			wg.Go(func() {
				if ask(t, g).Refused == "" {
					passed.Add(1)
				}
			})
		}
		wg.Wait()
		if got := passed.Load(); got < 2 || got > 3 || l.buckets.turns.Load() != 0 {
			t.Errorf("%d of 8 passed and %d still wait, want 3 and 0: one at once, and two that wait", got, l.buckets.turns.Load())
		}
	}
}

// Whatever is wrong with Redis: no request fails for it, none waits for long,
// and it is asked again once it is well.
func TestRedisIsAwayAndBack(t *testing.T) {
	tests := []struct {
		name       string
		sick, well func(*server)
	}{
		{"killed", (*server).kill, (*server).start},
		{"hanging", func(s *server) { s.signal(syscall.SIGSTOP) }, func(s *server) { s.signal(syscall.SIGCONT) }},
		{
			"read-only",
			func(s *server) { s.client("").ReplicaOf(s.t.Context(), "127.0.0.1", "1") },
			func(s *server) { s.client("").ReplicaOf(s.t.Context(), "NO", "ONE") },
		},
		{"a password that is not ours", func(s *server) {
			s.client("").ConfigSet(s.t.Context(), "requirepass", "another")
			s.client("another").ClientKillByFilter(s.t.Context(), "TYPE", "normal")
		}, func(s *server) { s.client("another").ConfigSet(s.t.Context(), "requirepass", "") }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := startRedis(t)
			store := s.at(func(c *StoreConfig) { c.Timeout = 50 * time.Millisecond })
			c := stored("1000000/s", Local)
			g := NewGate(limiterIn(t, "all", c, store))
			broken := func() bool {
				r, record := request(nil)
				begin := time.Now()
				if err := g.Check(r); err != nil {
					t.Fatalf("Check() = %v, want nil", err)
				}
				if took := time.Since(begin); took > time.Second {
					t.Fatalf("a request waited %v", took)
				}
				return record.Decisions()[0].Outcome == exchange.Broken
			}
			patiently(t, "Redis is asked", func() bool { return !broken() })
			tt.sick(s)
			patiently(t, "Redis is not asked", func() bool { return broken() && store.Status().Problem != "" })
			begin := time.Now()
			for range 1000 {
				broken()
			}
			if took := time.Since(begin); took > time.Second {
				t.Errorf("1000 requests without Redis took %v, want next to nothing", took)
			}
			if problem := store.Status().Problem; strings.Contains(problem, "another") {
				t.Errorf("Problem = %q tells a secret", problem)
			}
			tt.well(s)
			patiently(t, "Redis is asked again", func() bool { return !broken() })
		})
	}
}

func TestRedisWithAPasswordAndTLS(t *testing.T) {
	ca := certstest.New(t, "ca")
	pair := ca.Issue(t, "redis")
	dir := t.TempDir()
	file := func(name string, data []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	s := startRedis(t, "--tls", "--tls-cert-file", file("cert", pair.Cert), "--tls-key-file", file("key", pair.Key),
		"--tls-ca-cert-file", file("ca", ca.PEM()), "--tls-auth-clients", "no", "--requirepass", "hunter2")
	secure := func(c *StoreConfig) { c.RedisURL = "rediss://" + s.addr + "/3" }
	trusting := &tls.Config{RootCAs: ca.Pool()}
	tests := []struct {
		name     string
		password string
		config   *tls.Config
		ok       bool
	}{
		{"the password", "hunter2", trusting, true},
		{"another password", "hunter3", trusting, false},
		{"no password", "", trusting, false},
		{"a CA that is not trusted", "hunter2", &tls.Config{}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			g := NewGate(limiterIn(t, "all", inRedis(config("1000/s", 0)), redisAtAddr(t, s.addr, tt.password, tt.config, secure)))
			r, _ := request(nil)
			err := g.Check(r)
			if (err == nil) != tt.ok {
				t.Errorf("Check() = %v, want ok: %v", err, tt.ok)
			}
			if refusal, ok := errors.AsType[*exchange.Refusal](err); ok && strings.Contains(refusal.Note+refusal.Detail, "hunter") {
				t.Errorf("%+v tells a secret", refusal)
			}
		})
	}
}

// What keys are called is told in docs/operating.md. A value is never part of
// it: it may be an API key.
func TestKeysInRedis(t *testing.T) {
	s := startRedis(t)
	store := s.at(func(c *StoreConfig) { c.Prefix = "shop" })
	byKey := limiterIn(t, "by-key", inRedis(config("60/m", 0, "header:X-Api-Key")), store)
	all := limiterIn(t, "orders/rateLimit", inRedis(sliding("60/m")), store)
	for _, secret := range []string{"hunter2", ""} {
		r, _ := request(func(r *http.Request, _ *exchange.Record) { r.Header.Set("X-Api-Key", secret) })
		if err := NewGate(byKey, all).Check(r); err != nil {
			t.Fatal(err)
		}
	}
	c := s.client("")
	names, err := c.Keys(t.Context(), "*").Result()
	if err != nil || len(names) != 3 {
		t.Fatalf("Keys = %q, %v; want 3", names, err)
	}
	prefix := "shop:ratelimit:by-key:" + version(inRedis(config("60/m", 0, "header:X-Api-Key"))) + ":"
	for _, want := range []string{prefix + "none", prefix, "shop:ratelimit:orders/rateLimit:"} {
		if !strings.Contains(strings.Join(names, " ")+" ", want) {
			t.Errorf("keys %q, want one %s", names, want)
		}
	}
	for _, name := range names {
		if ttl := c.PTTL(t.Context(), name).Val(); ttl <= 0 || ttl > 67*time.Second {
			t.Errorf("%s lives for %v, want for as long as it says something", name, ttl)
		}
		if strings.Contains(name, "hunter2") {
			t.Errorf("%s tells the value", name)
		}
	}
}

// Something answers at the port, and it is no Redis, or a key is no bucket.
func TestWrongAnswers(t *testing.T) {
	for _, answer := range []string{"+OK\r\n", ":1\r\n", "*1\r\n:1\r\n", "*3\r\n+a\r\n+b\r\n+c\r\n", "$-1\r\n", "-ERR \"hunter2\"\r\n", "HTTP/1.1 400 Bad Request\r\n\r\n", ""} {
		t.Run(fmt.Sprintf("%q", answer), func(t *testing.T) {
			store := redisAtAddr(t, speaks(t, answer), "", nil, func(c *StoreConfig) { c.Timeout = 50 * time.Millisecond })
			g := NewGate(limiterIn(t, "all", stored("1/h", Deny), store))
			for range 5 {
				r, _ := request(nil)
				refusal, ok := errors.AsType[*exchange.Refusal](g.Check(r))
				if !ok || refusal.Reason != exchange.StoreUnavailable || strings.Contains(refusal.Note, "hunter2") {
					t.Errorf("Check() = %+v, want %s", refusal, exchange.StoreUnavailable)
				}
			}
		})
	}
	t.Run("a key of another type", func(t *testing.T) {
		s := startRedis(t)
		c := stored("1/h", Deny)
		name := "sidecar:ratelimit:all:" + version(c) + ":all"
		if err := s.client("").RPush(t.Context(), name, "x").Err(); err != nil {
			t.Fatal(err)
		}
		r, _ := request(nil)
		if err := NewGate(limiterIn(t, "all", c, s.at())).Check(r); err == nil {
			t.Error("Check() = nil, want a refusal")
		}
	})
}

// speaks returns the address of something that answers every line with answer,
// but a Redis's greetings, which it takes.
func speaks(t *testing.T, answer string) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() {
				defer c.Close()
				lines := bufio.NewScanner(c)
				for lines.Scan() {
					if answer == "" {
						return
					}
					if strings.HasPrefix(strings.ToLower(lines.Text()), "eval") {
						_, _ = io.WriteString(c, answer)
					} else if strings.EqualFold(lines.Text(), "hello") {
						_, _ = io.WriteString(c, "-ERR unknown command\r\n")
					}
				}
			})
		}
	})
	t.Cleanup(func() { l.Close() })
	return l.Addr().String()
}

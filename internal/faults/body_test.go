package faults

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"sidecar/internal/exchange"
)

// said answers with a body of n bytes, whose length is told only if known.
func said(n int, known bool) exchange.RoundTripFunc {
	return func(r *http.Request) (*http.Response, error) {
		resp := exchange.NewResponse(r, 200, "text/plain", bytes.Repeat([]byte{'a'}, n), nil)
		if !known {
			resp.ContentLength = -1
		}
		return resp, nil
	}
}

func bodyOf(b Body) func(*Config) { return func(c *Config) { c.Body = b } }

func TestABodyIsBroken(t *testing.T) {
	const second = time.Second
	tests := []struct {
		name    string
		body    Body
		length  int
		unknown bool
		read    int
		took    time.Duration
		cut     bool
		noted   bool
	}{
		{name: "as slowly as the policy says", body: Body{Bandwidth: 1 << 10}, length: 4 << 10, read: 4 << 10, took: 4 * second, noted: true},
		{name: "a byte a second", body: Body{Bandwidth: 1}, length: 3, read: 3, took: 3 * second, noted: true},
		{name: "cut off", body: Body{TruncateAfter: 100}, length: 101, read: 100, cut: true, noted: true},
		{name: "cut off, of unknown length", body: Body{TruncateAfter: 100}, length: 101, unknown: true, read: 100, cut: true, noted: true},
		{name: "not cut where it ends by itself", body: Body{TruncateAfter: 100}, length: 100, read: 100},
		{name: "not cut where it ends, of unknown length", body: Body{TruncateAfter: 100}, length: 100, unknown: true, read: 100},
		{name: "slow, and then cut off", body: Body{Bandwidth: 100, TruncateAfter: 200}, length: 1000, read: 200, took: 2 * second, cut: true, noted: true},
		{name: "not where there is none", body: Body{TruncateAfter: 1}, length: 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a, start := call("id", 1), time.Now()
				resp, err := on(t, policy("slow", bodyOf(tt.body))).Wrap(said(tt.length, !tt.unknown)).RoundTrip(a.Request)
				if err != nil {
					t.Fatal(err)
				}
				text, err := io.ReadAll(resp.Body)
				resp.Body.Close()
				// The last portion is waited for by whoever reads on.
				if got := time.Since(start); got > tt.took || got < tt.took-second {
					t.Errorf("took %v, want %v at most", got, tt.took)
				}
				if len(text) != tt.read || errors.Is(err, io.ErrUnexpectedEOF) != tt.cut {
					t.Errorf("read %d bytes, %v, want %d, cut off %v", len(text), err, tt.read, tt.cut)
				}
				if got := resp.ContentLength; !tt.unknown && got != int64(tt.length) {
					t.Errorf("Content-Length = %d, want %d as the upstream said", got, tt.length)
				}
				noted, fault := "", ""
				if tt.noted {
					noted = "slow fault_body " + tt.body.String()
				}
				if tt.length > 0 {
					fault = "slow"
				}
				if got := a.reasons(); got != noted || a.attempt.Fault != fault || resp.Header.Get(Header) != fault {
					t.Errorf("noted %q by %q, told %q; want %q by %q", got, a.attempt.Fault, resp.Header.Get(Header), noted, fault)
				}
			})
		})
	}
}

// corrupted returns what becomes of n bytes, read in parts of size.
func corrupted(t *testing.T, id string, seed int64, percent float64, n, size int) []byte {
	t.Helper()
	f := policy("bits", func(c *Config) { c.Body.Corrupt, c.Seed = percent, seed })
	a := call(id, 1)
	resp, err := on(t, f).Wrap(said(n, true)).RoundTrip(a.Request)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if _, err := io.CopyBuffer(struct{ io.Writer }{&out}, struct{ io.Reader }{resp.Body}, make([]byte, size)); err != nil {
		t.Fatal(err)
	}
	var want []string
	if bytes.Count(out.Bytes(), []byte{'a'}) < n {
		want = []string{"bits"}
	}
	if got := a.attempt.Spoiled; !slices.Equal(got, want) || (a.reasons() != "") != (want != nil) {
		t.Errorf("Spoiled = %q, noted %q, want %q: whether the client gets the upstream's answer", got, a.reasons(), want)
	}
	return out.Bytes()
}

func TestBytesAreCorruptedByTheSeed(t *testing.T) {
	const n = 100_000
	first := corrupted(t, "id", 1, 1, n, 4096)
	if again := corrupted(t, "id", 1, 1, n, 7); !bytes.Equal(first, again) {
		t.Error("the same seed and request id: other bytes, read in other parts; want the same")
	}
	if other := corrupted(t, "id", 2, 1, n, 4096); bytes.Equal(first, other) {
		t.Error("another seed: the same bytes")
	}
	if short := corrupted(t, "id", 1, 0.01, 10, 4096); bytes.Count(short, []byte{'a'}) < 10 {
		t.Error("a short body has lost bytes, want one that shows what is not counted")
	}
	for _, percent := range []float64{0.01, 1, 50, 100} {
		p, changed := percent/100, 0
		for _, b := range corrupted(t, "id", 0, percent, n, 4096) {
			if b != 'a' {
				changed++
			}
		}
		if slack := 4 * math.Sqrt(p*(1-p)*n); math.Abs(float64(changed)-p*n) > slack {
			t.Errorf("%v %%: %d bytes of %d changed, want %v +- %v", percent, changed, n, p*n, slack)
		}
	}
}

// What comes when the fault is over comes as it is.
func TestABodyIsFreeWhenTheFaultEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := policy("slow", func(c *Config) { c.Body.Bandwidth, c.MaxDuration = 1, 10*time.Second })
		a, start := call("id", 1), time.Now()
		resp, err := on(t, f).Wrap(said(1000, true)).RoundTrip(a.Request)
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(resp.Body)
		if took := time.Since(start); err != nil || len(text) != 1000 || took != 10*time.Second {
			t.Errorf("read %d bytes, %v in %v, want 1000 in 10s", len(text), err, took)
		}
	})
}

func TestASlowBodyEndsWithItsCallAndWithItsReader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		read := func(end func(*http.Response, context.CancelFunc)) (took time.Duration, err error) {
			var cancel context.CancelFunc
			a := call("id", 1).under(func(ctx context.Context) (out context.Context) {
				out, cancel = context.WithCancel(ctx)
				return out
			})
			defer cancel()
			resp, err := on(t, policy("slow", bodyOf(Body{Bandwidth: 1}))).Wrap(said(1000, true)).RoundTrip(a.Request)
			if err != nil {
				t.Fatal(err)
			}
			start := time.Now()
			time.AfterFunc(2500*time.Millisecond, func() { end(resp, cancel) })
			_, err = io.ReadAll(resp.Body)
			return time.Since(start), err
		}
		took, err := read(func(_ *http.Response, cancel context.CancelFunc) { cancel() })
		if failure, ok := errors.AsType[*exchange.Failure](err); !ok || failure.Kind != exchange.FailedClient || took != 2500*time.Millisecond {
			t.Errorf("the client left: %v after %v, want a Failure by the client after 2.5s", err, took)
		}
		took, err = read(func(resp *http.Response, _ context.CancelFunc) { resp.Body.Close() })
		if !errors.Is(err, http.ErrBodyReadAfterClose) || took != 2500*time.Millisecond {
			t.Errorf("closed: %v after %v, want ErrBodyReadAfterClose after 2.5s", err, took)
		}
	})
}

func TestOnlyBodiesAreBroken(t *testing.T) {
	conn := struct {
		io.ReadWriter
		io.Closer
	}{&bytes.Buffer{}, io.NopCloser(nil)}
	switched := exchange.RoundTripFunc(func(r *http.Request) (*http.Response, error) {
		resp := exchange.NewResponse(r, 101, "", nil, nil)
		resp.Body, resp.ContentLength = conn, -1
		return resp, nil
	})
	for name, next := range map[string]http.RoundTripper{"an upgraded connection": switched, "an answer to HEAD": said(10, true)} {
		s, f := NewSwitch(nil), policy("cut", func(c *Config) { c.Body.TruncateAfter, c.Enabled = 1, true })
		s.Sync([]Named{f})
		a := call("id", 1)
		if name == "an answer to HEAD" {
			a.Method = "HEAD"
		}
		resp, err := New(s, []Named{f}).Wrap(next).RoundTrip(a.Request)
		if err != nil {
			t.Fatal(err)
		}
		if _, ok := resp.Body.(*brokenBody); ok || a.reasons() != "" {
			t.Errorf("%s: body %T, noted %q, want it left alone", name, resp.Body, a.reasons())
		}
		if status, _ := s.Get("cut"); status.Injected != 0 {
			t.Errorf("%s: %d injected, want 0", name, status.Injected)
		}
	}
}

func TestABlackHoleEndsWithItsCallOrItsFault(t *testing.T) {
	hole := policy("hole", func(c *Config) { c.Abort.Connection, c.MaxDuration = "blackhole", time.Minute })
	tests := []struct {
		name  string
		limit time.Duration
		took  time.Duration
		want  exchange.FailureKind
	}{
		{"the timeout above it", 5 * time.Second, 5 * time.Second, exchange.FailedTimeout},
		{"the end of the fault", time.Hour, time.Minute, exchange.FailedReset},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				up, start := &upstream{}, time.Now()
				a := call("id", 1).under(func(ctx context.Context) context.Context {
					ctx, cancel := context.WithTimeout(ctx, tt.limit)
					t.Cleanup(cancel)
					return ctx
				})
				_, kind := a.send(t, on(t, hole), up)
				if took := time.Since(start); kind != string(tt.want) || took != tt.took {
					t.Errorf("ended with %q after %v, want %q after %v", kind, took, tt.want, tt.took)
				}
				if up.calls != 0 || !a.body.closed {
					t.Errorf("upstream called %d times, body closed %v; want 0 and true", up.calls, a.body.closed)
				}
			})
		})
	}
}

func TestNormalJitter(t *testing.T) {
	delay := Delay{Fixed: time.Second, Jitter: 100 * time.Millisecond, Distribution: "normal"}
	const n = 20_000
	sum, squares, within := 0.0, 0.0, 0
	var d draws
	for range n {
		off := (d.delay(delay) - delay.Fixed).Seconds()
		sum, squares = sum+off, squares+off*off
		if math.Abs(off) <= 0.1 {
			within++
		}
	}
	if mean := sum / n; math.Abs(mean) > 0.003 {
		t.Errorf("mean is off by %v s, want 0", mean)
	}
	if deviation := math.Sqrt(squares / n); math.Abs(deviation-0.1) > 0.003 {
		t.Errorf("standard deviation = %v s, want 0.1", deviation)
	}
	if share := float64(within) / n; math.Abs(share-0.6827) > 0.01 {
		t.Errorf("%v within one deviation, want 0.6827", share)
	}
}

func FuzzBandwidth(f *testing.F) {
	for _, seed := range []string{"64KiB/s", "1/s", "1GiB/s", "0/s", "5", "KiB/s", "2GiB/s"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		var a, b Bandwidth
		if a.UnmarshalText([]byte(text)) != nil {
			return
		}
		if a < 1 || a > maxBandwidth || !strings.HasSuffix(text, "/s") {
			t.Errorf("%q is read as %d", text, a)
		}
		if err := b.UnmarshalText([]byte(a.String())); err != nil || a != b {
			t.Errorf("%q is written %q, which is read as %d, %v", text, a, b, err)
		}
	})
}

func BenchmarkCorruptBody(b *testing.B) {
	const size = 32 << 10
	once := func() func() {
		body := &brokenBody{corrupt: 1, spoiled: true, over: make(chan struct{})}
		buf := make([]byte, size)
		return func() { body.spoil(buf) }
	}
	b.Run("alone", func(b *testing.B) {
		spoil := once()
		b.SetBytes(size)
		b.ReportAllocs()
		for b.Loop() {
			spoil()
		}
	})
	b.Run("parallel", func(b *testing.B) {
		b.SetBytes(size)
		b.ReportAllocs()
		b.SetParallelism(2)
		b.RunParallel(func(pb *testing.PB) {
			for spoil := once(); pb.Next(); {
				spoil()
			}
		})
	})
}

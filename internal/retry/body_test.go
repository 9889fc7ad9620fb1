package retry

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"sidecar/internal/exchange"
)

func TestEachAttemptHasTheWholeBody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := send(t, policy(), ask("PUT", "12345678"), 503, 503, 200)
		x.want(t, "200", 3)
		if diff := cmp.Diff([]string{"12345678", "12345678", "12345678"}, x.up.bodies); diff != "" {
			t.Errorf("bodies (-want +got):\n%s", diff)
		}
	})
}

func TestBodyThatIsTooLargeStreamsOnce(t *testing.T) {
	for _, length := range []int64{9, -1} {
		r := ask("PUT", "123456789")
		r.ContentLength = length
		x := send(t, policy(), r, 503)
		x.want(t, "503", 1)
		if diff := cmp.Diff([]string{"123456789"}, x.up.bodies); diff != "" {
			t.Errorf("bodies (-want +got):\n%s", diff)
		}
		if diff := cmp.Diff([]string{"broken body_not_replayable"}, x.notes()); diff != "" {
			t.Errorf("decisions (-want +got):\n%s", diff)
		}
	}
}

func TestLargeBodyThatNobodyReadIsRepeated(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := send(t, policy(), ask("POST", "123456789"), func(r *http.Request) (*http.Response, error) {
			r.Body.Close() // as a transport does
			return nil, &exchange.Failure{Kind: exchange.FailedConnect}
		}, 200)
		x.want(t, "200", 2)
		if diff := cmp.Diff([]string{"123456789"}, x.up.bodies); diff != "" {
			t.Errorf("bodies (-want +got):\n%s", diff)
		}
	})
}

func TestHalfSentBodyBeginsAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		half := func(r *http.Request) (*http.Response, error) {
			_, _ = io.ReadFull(r.Body, make([]byte, 4))
			return nil, &exchange.Failure{Kind: exchange.FailedReset}
		}
		x := send(t, policy(), ask("PUT", "12345678"), reply(half), reply(half), 200)
		x.want(t, "200", 3)
		if diff := cmp.Diff([]string{"12345678"}, x.up.bodies); diff != "" {
			t.Errorf("bodies (-want +got):\n%s", diff)
		}
	})
}

// clientBody is a client's body, at whose end its trailers are known.
type clientBody struct {
	io.Reader
	atEOF  func()
	closed int
}

func (b *clientBody) Read(p []byte) (int, error) {
	n, err := b.Reader.Read(p)
	if err == io.EOF {
		b.atEOF()
	}
	return n, err
}

func (b *clientBody) Close() error { b.closed++; return nil }

func TestAttemptsRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var client clientBody
		r := ask("PUT", "1234")
		client.Reader = r.Body
		r.Body = &client
		r.Trailer = http.Header{"Checksum": nil}
		client.atEOF = func() { r.Trailer["Checksum"] = []string{"42"} } // as the server does at the body's end
		r.GetBody = func() (io.ReadCloser, error) { return nil, errors.New("passed by") }
		var seen []*http.Request
		see := func(status int) reply {
			return func(r *http.Request) (*http.Response, error) {
				seen = append(seen, r)
				_, _ = io.Copy(io.Discard, r.Body)
				r.Body.Close()
				return withHeader(status, "X", "x")(r)
			}
		}
		send(t, policy(), r, see(503), see(200))
		for i, a := range seen {
			if a == r || a.ContentLength != 4 || a.GetBody != nil || a.Trailer.Get("Checksum") != "42" {
				t.Errorf("attempt %d: length %d, GetBody %t, trailer %v", i+1, a.ContentLength, a.GetBody != nil, a.Trailer)
			}
		}
		if seen[0].Body == seen[1].Body {
			t.Error("attempts share a reader")
		}
		seen[0].Trailer.Set("Mark", "x")
		if seen[1].Trailer.Get("Mark") != "" || r.Trailer.Get("Mark") != "" {
			t.Error("attempts share their trailers")
		}
		if client.closed != 0 {
			t.Errorf("the client's body was closed %d times, want 0", client.closed)
		}
	})
}

// A response may come, and be thrown away, while the request is still on its
// way.
func TestReaderOfAnAttemptThatEndedIsClosed(t *testing.T) {
	for _, first := range []any{503, &exchange.Failure{Kind: exchange.FailedReset}} {
		synctest.Test(t, func(t *testing.T) {
			var stale io.Reader
			send(t, policy(), ask("PUT", "1234"), func(r *http.Request) (*http.Response, error) {
				stale = r.Body
				if err, failed := first.(error); failed {
					return nil, err
				}
				return withHeader(503, "X", "x")(r)
			}, func(r *http.Request) (*http.Response, error) {
				if _, err := stale.Read(make([]byte, 1)); !errors.Is(err, http.ErrBodyReadAfterClose) {
					t.Errorf("after %v the first attempt's reader says %v, want %v", first, err, http.ErrBodyReadAfterClose)
				}
				return withHeader(200, "X", "x")(r)
			}).want(t, "200", 2)
		})
	}
}

// atClose is the body of an answer that is thrown away.
type atClose struct {
	io.Reader
	do func()
}

func (b atClose) Close() error { b.do(); return nil }

// A transport goes on sending the body while its early answer is thrown away.
// What it takes then, beyond the limit, is the second attempt's as well.
func TestAnUploadThatGoesOnBehindItsAnswerLosesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := ask("PUT", "123456789abcdef")
		r.ContentLength = -1
		send(t, policy(), r, func(r *http.Request) (*http.Response, error) {
			_, _ = io.ReadFull(r.Body, make([]byte, 4))
			resp, err := withHeader(503, "X", "x")(r)
			resp.Body = atClose{strings.NewReader(""), func() { _, _ = io.Copy(io.Discard, r.Body) }}
			return resp, err
		}, func(r *http.Request) (*http.Response, error) {
			if got, err := io.ReadAll(r.Body); err != nil || string(got) != "123456789abcdef" {
				t.Errorf("the second attempt read %q, %v, want all", got, err)
			}
			return withHeader(200, "X", "x")(r)
		}).want(t, "200", 2)
	})
}

func TestNoBodyIsLeftAlone(t *testing.T) {
	for name, body := range map[string]io.ReadCloser{"nil": nil, "NoBody": http.NoBody} {
		r := ask("PUT", "")
		r.Body = body
		if got := newReplay(r, 8).request(r); got != r {
			t.Errorf("%s: the request was copied", name)
		}
	}
}

// A transport of the first attempt may be reading when the second begins.
// What it takes from the client is the second attempt's.
func TestStaleReaderLosesNothing(t *testing.T) {
	for _, tt := range []struct {
		name  string
		limit int64
	}{{"within the limit", 100}, {"over the limit", 6}} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				client, send := io.Pipe()
				r := ask("PUT", "")
				r.Body, r.ContentLength = client, -1
				b := newReplay(r, tt.limit)

				stale := b.request(r).Body
				var wg sync.WaitGroup
				wg.Go(func() { _, _ = io.Copy(io.Discard, stale) })
				_, _ = io.WriteString(send, "first,")
				synctest.Wait() // it waits for more
				b.end()
				if !b.whole() {
					t.Fatal("not whole after 6 bytes")
				}

				var got []byte
				second := b.request(r).Body
				wg.Go(func() { got, _ = io.ReadAll(second) })
				synctest.Wait()                        // it waits behind the stale one
				_, _ = io.WriteString(send, "second,") // the stale reader's
				_, _ = io.WriteString(send, "third")
				send.Close()
				wg.Wait()
				if string(got) != "first,second,third" {
					t.Errorf("the second attempt read %q, want first,second,third", got)
				}
				if whole := tt.limit == 100; b.whole() != whole {
					t.Errorf("whole is %t, want %t", b.whole(), whole)
				}
			})
		})
	}
}

func TestCloseDoesNotWaitForARead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, send := io.Pipe()
		r := ask("PUT", "")
		r.Body = client
		b := newReplay(r, 8)
		first := b.request(r).Body
		go func() { _, _ = first.Read(make([]byte, 1)) }()
		synctest.Wait()
		first.Close()
		second := b.request(r).Body
		go func() { _, _ = second.Read(make([]byte, 1)) }() // waits behind the first
		synctest.Wait()
		second.Close()
		if _, err := first.Read(make([]byte, 1)); !errors.Is(err, http.ErrBodyReadAfterClose) {
			t.Errorf("reading a closed reader: got %v, want %v", err, http.ErrBodyReadAfterClose)
		}
		send.Close()
	})
}

// Readers come and go at random while the client sends; the last one has it
// all, and -race watches.
func TestReadersRace(t *testing.T) {
	want := make([]byte, 32<<10)
	for i := range want {
		want[i] = byte(i * 7)
	}
	for seed := range uint64(50) {
		random := rand.New(rand.NewPCG(seed, 0))
		r := ask("PUT", "")
		r.Body = io.NopCloser(&dribble{r: bytes.NewReader(want), random: rand.New(rand.NewPCG(seed, 1))})
		b := newReplay(r, int64(len(want)))
		var wg sync.WaitGroup
		for range 4 {
			body, n := b.request(r).Body, random.Int64N(int64(len(want)))
			wg.Go(func() { _, _ = io.CopyN(io.Discard, body, n) })
			for range random.IntN(100) {
				runtime.Gosched()
			}
			b.end() // while it reads
		}
		got, err := io.ReadAll(b.request(r).Body)
		wg.Wait()
		if err != nil || !bytes.Equal(got, want) {
			t.Fatalf("seed %d: %d bytes, %v; want %d the same", seed, len(got), err, len(want))
		}
	}
}

// dribble reads in small pieces.
type dribble struct {
	r      io.Reader
	random *rand.Rand
}

func (d *dribble) Read(p []byte) (int, error) {
	return d.r.Read(p[:min(len(p), 1+d.random.IntN(700))])
}

func TestKeptBodyIsDroppedWhenItGrowsTooLarge(t *testing.T) {
	r := ask("PUT", "")
	r.Body, r.ContentLength = io.NopCloser(strings.NewReader(strings.Repeat("x", 1000))), -1
	b := newReplay(r, 100)
	body := b.request(r).Body
	for _, kept := range []int{60, 0, 0} {
		_, _ = io.ReadFull(body, make([]byte, 60))
		if got := len(b.kept); got != kept {
			t.Errorf("%d bytes kept, want %d", got, kept)
		}
	}
}

func TestClientsReadErrorReachesEveryAttempt(t *testing.T) {
	broken := errors.New("chunk is malformed")
	r := ask("PUT", "")
	r.Body = io.NopCloser(io.MultiReader(strings.NewReader("12"), failing{broken}))
	b := newReplay(r, 8)
	for range 2 {
		got, err := io.ReadAll(b.request(r).Body)
		if string(got) != "12" || !errors.Is(err, broken) {
			t.Errorf("got %q, %v; want 12, %v", got, err, broken)
		}
		b.end()
	}
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

// The client's body is asked for nothing before an attempt wants it: a client
// may wait for "100 Continue".
func TestBodyIsReadLazily(t *testing.T) {
	r := ask("PUT", "")
	r.Body = io.NopCloser(failing{errors.New("read too early")})
	x := send(t, policy(func(c *Config) { c.Backoff = Backoff{} }), r, withHeader(503, "X", "x"), withHeader(200, "X", "x"))
	x.want(t, "200", 2)
	if x.took > time.Minute {
		t.Errorf("took %v", x.took)
	}
}

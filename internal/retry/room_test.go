package retry

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"

	"sidecar/internal/exchange"
)

// A transport may go on reading when its exchange is over and another has the
// room: neither has anything of the other's body.
func TestNoExchangeHasAnythingOfAnothersBody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		retry := New("safe", policy(), generous(), nil, half)
		client, send := io.Pipe()
		var stale io.Reader
		late := make(chan struct{})
		old := ask("POST", "")
		old.Body = client
		_, err := retry.Wrap(exchange.RoundTripFunc(func(r *http.Request) (*http.Response, error) {
			stale = r.Body
			go func() {
				defer close(late)
				_, _ = io.Copy(io.Discard, stale)
			}()
			_, _ = io.WriteString(send, "old,")
			synctest.Wait() // it waits for more
			return nil, errors.New("over")
		})).RoundTrip(old)
		if err == nil {
			t.Fatal("got an answer, want none")
		}

		x := &upstream{t: t, replies: []any{reply(func(r *http.Request) (*http.Response, error) {
			_, _ = io.ReadFull(r.Body, make([]byte, 4))
			_, _ = io.WriteString(send, "late") // to the stale reader
			<-late
			if n, err := stale.Read(make([]byte, 9)); n != 0 || !errors.Is(err, http.ErrBodyReadAfterClose) {
				t.Errorf("the stale reader reads %d bytes, %v; want none, %v", n, err, http.ErrBodyReadAfterClose)
			}
			return withHeader(503, "X", "x")(r)
		}), 200}}
		resp, err := retry.Wrap(x).RoundTrip(ask("PUT", "new,body"))
		if err != nil || resp.StatusCode != 200 || x.bodies[0] != "new,body" {
			t.Errorf("the second attempt got %v, %v after %q, want 200 after new,body", resp, err, x.bodies)
		}
	})
}

func TestARoomIsLentAgainWhenItsBodyIsDone(t *testing.T) {
	for _, tt := range []struct {
		name string
		ends func(r *http.Request)
		want bool // it is
	}{
		{"read and closed", func(r *http.Request) { _, _ = io.ReadAll(r.Body); r.Body.Close() }, true},
		{"half read and closed", func(r *http.Request) { _, _ = r.Body.Read(make([]byte, 2)); r.Body.Close() }, true},
		{"still read", func(r *http.Request) { _, _ = r.Body.Read(make([]byte, 2)) }, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := newReplay(ask("PUT", "12345678"), 8)
			b.rooms = &rooms{}
			tt.ends(b.request(ask("PUT", "")))
			b.release()
			if got := b.room == nil && b.kept == nil; got != tt.want {
				t.Errorf("given back: %v, want %v", got, tt.want)
			}
		})
	}
}

func TestAnnouncedAndNotSentTakesLittleRoom(t *testing.T) {
	const limit = 1 << 20
	r := ask("PUT", "")
	r.Body, r.ContentLength = io.NopCloser(strings.NewReader("x")), limit
	b := newReplay(r, limit)
	_, _ = io.ReadAll(b.request(r).Body)
	if got := cap(b.room.b); got > atOnce {
		t.Errorf("one byte of an announced %d takes room for %d, want at most %d", limit, got, atOnce)
	}
}

func TestALargeRoomIsNotLentAgain(t *testing.T) {
	for _, size := range []int64{roomy, roomy + 1} {
		var rs rooms
		big := rs.lend(size)
		rs.giveBack(big, big.b)
		if got := cap(rs.lend(1).b); got > roomy {
			t.Errorf("after a room of %d there is one of %d, want at most %d", size, got, roomy)
		}
	}
}

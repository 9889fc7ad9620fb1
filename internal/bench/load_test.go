package main

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// upstream answers as the bench's own, and keeps the tokens it was shown.
func upstream(t *testing.T) (url string, tokens *sync.Map) {
	tokens = &sync.Map{}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil || r.Method == "POST" && len(body) != 4<<10 {
			t.Errorf("%s with a body of %d bytes, %v", r.Method, len(body), err)
		}
		n, _ := tokens.LoadOrStore(r.Header.Get("Authorization"), 0)
		tokens.Store(r.Header.Get("Authorization"), n.(int)+1)
		answer(w, r)
	}))
	t.Cleanup(s.Close)
	return s.URL, tokens
}

func TestEachLoadIsAnswered(t *testing.T) {
	url, _ := upstream(t)
	for _, l := range []load{getSmall, getLarge, post} {
		t.Run(l.name, func(t *testing.T) {
			cs, err := dial(url, 3, l.message("one"))
			if err != nil {
				t.Fatal(err)
			}
			defer cs.close()
			left, mu := 10, sync.Mutex{}
			got, err := cs.send(func() []byte {
				mu.Lock()
				defer mu.Unlock()
				if left--; left < 0 {
					return nil
				}
				return l.message("one")
			})
			if got != 10 || err != nil {
				t.Errorf("%d requests answered, %v, want 10", got, err)
			}
		})
	}
}

func TestARefusalEndsTheBench(t *testing.T) {
	s := httptest.NewServer(http.NotFoundHandler())
	defer s.Close()
	if _, err := dial(s.URL, 1, getSmall.message("one")); err == nil || !strings.Contains(err.Error(), "404") {
		t.Errorf("error %v, want one of 404", err)
	}
}

func TestNoTokenIsShownTwice(t *testing.T) {
	url, tokens := upstream(t)
	w := &world{tokens: strings.Fields("all a b c d e f g h"), used: 1}
	cs, err := dial(url, 2, getSmall.message("all"))
	if err != nil {
		t.Fatal(err)
	}
	defer cs.close()
	for range 2 {
		if n, err := cs.send(w.unseen(4)); n != 4 || err != nil {
			t.Fatalf("%d requests, %v, want 4", n, err)
		}
	}
	for _, token := range w.tokens[1:] {
		if n, _ := tokens.Load("Bearer " + token); n != 1 {
			t.Errorf("token %s was shown %v times, want once", token, n)
		}
	}
}

// It may take a while to open the connections.
func TestALoadLastsFromItsFirstRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		next := until(time.Second, []byte("x"))
		time.Sleep(time.Minute)
		for _, more := range []bool{true, true, false} {
			if got := next() != nil; got != more {
				t.Errorf("another request: %v, want %v", got, more)
			}
			time.Sleep(time.Second)
		}
	})
}

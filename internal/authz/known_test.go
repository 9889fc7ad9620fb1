package authz

import (
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"
	"unsafe"
)

// lasting returns something that is not over for an hour.
func lasting() *verified { return &verified{until: time.Now().Add(time.Hour)} }

func TestAKnownTokenIsFoundByAllOfItsBytes(t *testing.T) {
	k := newKnown(tokensWeight)
	all := map[string]*verified{}
	for n := range 2 * knownPlaces { // so that many share a place
		token := fmt.Sprintf("token %d", n)
		all[token] = lasting()
		k.put(token, all[token], 1, time.Now())
	}
	for token, want := range all {
		if got := k.get(token, time.Now()); got != want {
			t.Fatalf("get(%q) = %p, want %p", token, got, want)
		}
	}
	for _, other := range []string{"", "token", "token 1 ", "token -1", fmt.Sprintf("token %d", 2*knownPlaces)} {
		if got := k.get(other, time.Now()); got != nil {
			t.Errorf("get(%q) = %v, want nil", other, got)
		}
	}

	// Two tokens whose hashes are the same.
	one := k.find("token 1", hashOf(k, "token 1"))
	if got := k.find("token 2", one.hash); got != nil {
		t.Errorf("a token is found by the hash of another: %v", got.token)
	}
	one.hash = hashOf(k, "stranger")
	k.place(one.hash).Store(one)
	if got := k.get("stranger", time.Now()); got != nil {
		t.Error("a stranger passes for a token with the same hash")
	}
}

func hashOf(k *known, token string) uint64 {
	probe := &known{seed: k.seed, places: newKnown(1).places, left: 1}
	probe.put(token, lasting(), 0, time.Now())
	return probe.first.hash
}

func TestAKnownTokenIsACopy(t *testing.T) {
	k := newKnown(tokensWeight)
	token := "header.payload.signature"
	k.put(token, lasting(), 1, time.Now())
	if unsafe.StringData(k.first.token) == unsafe.StringData(token) {
		t.Error("what is kept is part of the request, want a copy")
	}
}

func TestWhichTokensGoFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newKnown(3)
		put := func(token string, v *verified) { k.put(token, v, 1, time.Now()) }
		want := func(tokens string) {
			t.Helper()
			var got string
			for at := k.first; at != nil; at = at.after {
				got += at.token
				if k.find(at.token, at.hash) != at {
					t.Errorf("%s stands in line and is not found", at.token)
				}
			}
			if got != tokens || k.count != len(tokens) || k.left != 3-len(tokens) {
				t.Errorf("known are %s, counted %d, room for %d; want %s", got, k.count, k.left, tokens)
			}
		}
		put("a", lasting())
		put("b", &verified{until: time.Now().Add(time.Minute)})
		put("c", lasting())
		want("abc")
		put("c", lasting())
		want("abc") // it is known already
		k.get("a", time.Now())
		put("d", lasting())
		want("cda") // the oldest was asked for, so it may stay
		put("b", &verified{until: time.Now().Add(time.Minute)})
		want("dab")
		put("e", lasting())
		k.get("b", time.Now())
		want("abe")
		time.Sleep(time.Minute) // b is over, whoever asked for it
		put("f", lasting())
		put("g", lasting())
		want("efg")
		put("h", &verified{until: time.Now()})
		want("efg") // what is over is not kept
		k.put("i", lasting(), 3, time.Now())
		if k.count != 1 || k.first != k.last || k.left != 0 {
			t.Errorf("%d are known beside one that takes all room, want none", k.count-1)
		}
	})
}

func TestKnownTokensAreAskedForWhileTheyChange(t *testing.T) {
	k := newKnown(200)
	all := make([]string, 400)
	mine := map[string]*verified{}
	for n := range all {
		all[n] = fmt.Sprint(n)
		mine[all[n]] = lasting()
	}
	var wg sync.WaitGroup
	for n := range 4 {
		wg.Go(func() {
			for round := range 4000 {
				token := all[(round*(n+3))%len(all)]
				if v := k.get(token, time.Now()); v != nil && v != mine[token] {
					t.Errorf("token %s is taken for another", token)
				}
				if round%(n+1) == 0 {
					k.put(token, mine[token], 1, time.Now())
				}
			}
		})
	}
	wg.Wait()
	listed := 0
	for at := k.first; at != nil; at = at.after {
		listed++
	}
	if listed != 200 || k.count != 200 || k.left != 0 {
		t.Errorf("%d in line, %d counted, room for %d; want 200, 200, 0", listed, k.count, k.left)
	}
}

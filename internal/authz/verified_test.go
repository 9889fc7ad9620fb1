package authz

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"sidecar/internal/exchange"
)

// counted counts how often keys are looked for, that is: tokens verified.
type counted struct {
	finder
	n int
}

func (c *counted) find(ctx context.Context, kid, alg string) ([]*key, error) {
	c.n++
	return c.finder.find(ctx, kid, alg)
}

// counting returns a policy, and what counts its verifications.
func counting(t testing.TB) (*Authn, *counted) {
	a := authn(t, aSecret, bySecret)
	by := a.issuers[alice].(*jwtIssuer)
	c := &counted{finder: by.keys}
	by.keys = c
	return a, c
}

func TestATokenIsVerifiedOnce(t *testing.T) {
	a, verifications := counting(t)
	good := hs256(claims(nil))
	tests := []struct {
		name  string
		token string
		want  exchange.Reason
		n     int // verifications so far
	}{
		{"the first time", good, "", 1},
		{"the second time", good, "", 1},
		{"another", hs256(claims(map[string]any{"sub": "u2"})), "", 2},
		{"a signature that differs", good[:len(good)-4] + "AAAA", exchange.TokenInvalid, 3},
		{"and again: what was refused is not remembered", good[:len(good)-4] + "AAAA", exchange.TokenInvalid, 4},
		{"the first one still", good, "", 4},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r, record := request("/", "Bearer "+tt.token)
			var got exchange.Reason
			if err := a.Check(r); err != nil {
				got = refusal(t, err).Reason
			}
			if got != tt.want || verifications.n != tt.n {
				t.Errorf("refused for %q after %d verifications, want %q after %d", got, verifications.n, tt.want, tt.n)
			}
			if p := record.Principal(); (p != nil) != (tt.want == "") {
				t.Errorf("principal = %v", p)
			}
		})
	}
}

func TestARememberedTokenExpires(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, verifications := counting(t)
		token := hs256(claims(nil)) // for a minute
		check := func() error {
			r, _ := request("/", "Bearer "+token)
			return a.Check(r)
		}
		if err := check(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute + skew - time.Nanosecond)
		if err := check(); err != nil || verifications.n != 1 {
			t.Errorf("Check() at the end of the skew = %v after %d verifications, want nil after 1", err, verifications.n)
		}
		time.Sleep(time.Nanosecond)
		if got := refusal(t, check()).Reason; got != exchange.TokenExpired {
			t.Errorf("refused for %q, want %q", got, exchange.TokenExpired)
		}
	})
}

func TestARememberedTokenFallsWithItsKey(t *testing.T) {
	long := sign(jwt.SigningMethodES256, ecKey(), claims(map[string]any{"nbf": nil}), map[string]any{"kid": "old"})
	bubble("replaced", t, func(t *testing.T) {
		i := newIDP(t, says(200, oldKeys))
		i.want(long, "", KeysFresh)
		i.answers(says(200, newKeys))
		time.Sleep(10 * time.Minute)
		i.want(long, exchange.TokenInvalid, KeysFresh)
	})
	bubble("too old to be believed", t, func(t *testing.T) {
		i := newIDP(t, says(200, oldKeys))
		i.want(long, "", KeysFresh)
		i.answers(away)
		time.Sleep(10*time.Minute + staleFor + time.Nanosecond)
		i.want(long, exchange.JWKSUnavailable, KeysExpired)
	})
	bubble("that came while it was verified", t, func(t *testing.T) {
		i := newIDP(t, slowly(time.Second, says(200, oldKeys)))
		i.want(long, "", KeysFresh)
		i.answers(away)
		time.Sleep(10*time.Minute + staleFor + 2*time.Second)
		i.want(long, exchange.JWKSUnavailable, KeysExpired)
	})
}

func TestRememberedTokensAreBounded(t *testing.T) {
	ts := newKnown(tokensWeight)
	for i := range 3 * tokensWeight / maxToken {
		ts.put(fmt.Sprint(i), &verified{until: time.Now().Add(time.Hour)}, maxToken, time.Now())
	}
	if got, most := ts.count, tokensWeight/maxToken; got == 0 || got > most {
		t.Errorf("%d tokens are remembered, want 1 to %d", got, most)
	}
}

func TestARememberedTokenCostsNoMemory(t *testing.T) {
	a, _ := counting(t)
	r, _ := request("/", "Bearer "+hs256(claims(nil)))
	allocs := testing.AllocsPerRun(100, func() {
		if _, why := a.authenticate(r.Context(), r.Header["Authorization"]); why != nil {
			t.Fatal(why.detail)
		}
	})
	if allocs != 0 {
		t.Errorf("%v allocations, want none", allocs)
	}
}

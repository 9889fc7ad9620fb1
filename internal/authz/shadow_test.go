package authz

import (
	"testing"
	"testing/synctest"
	"time"

	"sidecar/internal/exchange"
)

// in has i judge tokens by a policy in mode.
func (i *idp) in(mode exchange.Mode) {
	i.t.Helper()
	c := AuthnConfig{Line: 3}
	c.SetDefaults()
	c.Mode, c.Issuers = mode, []IssuerConfig{{Issuer: alice, JWKSURL: "https://id.example.com/keys"}}
	a, err := NewAuthn("users", c, nil, keeper{keySet: func(KeySetConfig) *KeySet { return i.set }})
	if err != nil {
		i.t.Fatalf("NewAuthn() = %v, want nil", err)
	}
	i.authn = a
}

func TestAShadowKeepsNoRequestWaitingForKeys(t *testing.T) {
	for mode, want := range map[exchange.Mode]time.Duration{exchange.ModeEnforce: patience, exchange.ModeShadow: 0} {
		bubble("the first keys, "+mode.String(), t, func(t *testing.T) {
			i := newIDP(t, slowly(time.Hour, away))
			i.in(mode)
			i.want(byOld(), exchange.JWKSUnavailable, KeysWaiting)
			if took := time.Since(i.began); took != want {
				t.Errorf("a request took %v, want %v", took, want)
			}
		})
		bubble("a key that is not among them, "+mode.String(), t, func(t *testing.T) {
			i := newIDP(t, says(200, oldKeys))
			i.in(mode)
			i.answers(slowly(time.Hour, away))
			i.want(byNew(), exchange.TokenInvalid, KeysFresh)
			if took := time.Since(i.began); took != want {
				t.Errorf("a request took %v, want %v", took, want)
			}
		})
	}
}

// It must find out what it would say once it is enforced.
func TestAShadowHasKeysFetched(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i := newIDP(t, says(200, oldKeys))
		i.in(exchange.ModeShadow)
		i.want(byOld(), "", KeysFresh)
		i.answers(slowly(time.Second, says(200, newKeys))) // or they may be there before it is judged
		i.want(byNew(), exchange.TokenInvalid, KeysFresh)
		time.Sleep(time.Second)
		i.wantCalls(0, 0)
		i.want(byNew(), "", KeysFresh)
	})
}

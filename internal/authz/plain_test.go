package authz

import (
	"encoding/base64"
	"encoding/json"
	"strings"
	"testing"

	"github.com/golang-jwt/jwt/v5"
	"github.com/google/go-cmp/cmp"

	"sidecar/internal/exchange"
)

func TestWhatIsPlain(t *testing.T) {
	tests := []struct {
		name string
		text string
		want bool
	}{
		{"nothing in it", `{}`, true},
		{"what most tokens say", `{"iss":"https://id.example.com/","sub":"u1","roles":["a","b"],"exp":1770000000,"ok":true,"no":false,"nil":null}`, true},
		{"spaces", " {\t\"a\" :\r\n [ 1 , { } , [ ] ] } ", true},
		{"numbers", `{"a":[0,-0,10,0.5,-1.25e+10,1E-3,1e999,12345678901234567890]}`, true},
		{"letters of all kinds", `{"name":"José ☃ 𝄞"}`, true},
		{"a name twice, further in", `{"a":{"b":1,"b":2}}`, true},
		{"as deep as it goes", `{"a":` + strings.Repeat("[", plainDepth) + strings.Repeat("]", plainDepth) + `}`, true},

		{"deeper", `{"a":` + strings.Repeat("[", plainDepth+1) + strings.Repeat("]", plainDepth+1) + `}`, false},
		{"a name twice", `{"a":1,"a":2}`, false},
		{"an escape", `{"iss":"https:\/\/id.example.com\/"}`, false},
		{"an escape in a name", `{"\u0069ss":"x"}`, false},
		{"letters that are none", "{\"a\":\"\xff\"}", false},
		{"a control character", "{\"a\":\"\n\"}", false},
		{"a zero before a number", `{"a":01}`, false},
		{"a sign before a number", `{"a":+1}`, false},
		{"half a number", `{"a":1.}`, false},
		{"half an exponent", `{"a":1e}`, false},
		{"a minus alone", `{"a":-}`, false},
		{"half a word", `{"a":tru}`, false},
		{"two words", `{"a":nulltrue}`, false},
		{"a comma too many", `{"a":1,}`, false},
		{"a comma too many in a list", `{"a":[1,]}`, false},
		{"a comma too few", `{"a":1 "b":2}`, false},
		{"no colon", `{"a" 1}`, false},
		{"no value", `{"a":}`, false},
		{"no end", `{"a":1`, false},
		{"no end of a string", `{"a":"b`, false},
		{"something behind it", `{}{}`, false},
		{"a NUL behind it", "{}\x00", false},
		{"no object", `["iss"]`, false},
		{"null", `null`, false},
		{"nothing", ``, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, plain := readPlain(tt.text)
			if plain != tt.want {
				t.Fatalf("readPlain(%q) reports %v, want %v", tt.text, plain, tt.want)
			}
			if diff := cmp.Diff(byLibrary(tt.text), got); plain && diff != "" {
				t.Errorf("readPlain(%q) (-encoding/json +got):\n%s", tt.text, diff)
			}
		})
	}
}

// byLibrary returns the object that encoding/json finds in text; nil: none, or
// none that is all of the text.
func byLibrary(text string) map[string]any {
	if !json.Valid([]byte(text)) {
		return nil
	}
	var object map[string]any
	decoder := json.NewDecoder(strings.NewReader(text))
	decoder.UseNumber()
	if decoder.Decode(&object) != nil {
		return nil
	}
	return object
}

// FuzzPlain: what is read as plain, encoding/json reads as the same.
func FuzzPlain(f *testing.F) {
	for _, seed := range []string{`{}`, `{"a":[1,-0.5e+3,"b",{"c":null}],"d":true}`, `{"a":1,"a":2}`, `{"a":{"b":1,"b":[]}} `, "{\"é\":\"\u2028\"}", `{"a":1e5}x`, "{}\x00"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		got, plain := readPlain(text)
		if !plain {
			return
		}
		if diff := cmp.Diff(byLibrary(text), got); diff != "" {
			t.Errorf("readPlain(%q) (-encoding/json +got):\n%s", text, diff)
		}
	})
}

// FuzzPlainTokens: what is read as a plain token, golang-jwt reads as the same,
// and so does who chooses whose it is.
func FuzzPlainTokens(f *testing.F) {
	parser := jwt.NewParser(jwt.WithStrictDecoding(), jwt.WithJSONNumber())
	for _, seed := range []string{
		hs256(claims(nil)), "eyJhbGciOiJIUzI1NiJ9.e30.YR", "eyJhbGciOiJIUzI1NiJ9.e31.YQ", "eyJhbGciOiJIUzI1NiIsIngiOjFlOTk5fQ.e30.YQ", "a.b.c", "..", "eyJhbGciOiJub25lIn0.e30.", hs256(claims(nil)) + "\n",
		"eyJhbGciOiJIUzI1NiJ9.eyIiOiJ0XyJ9.\n", "eyJhbGciOiJIUzI1NiJ9\r.e30.YQ", "eyJhbGciOiJIUzI1NiJ9.e3\n0.YQ",
		signed(`{"iss":7}`), signed(`{"iss":null}`), signed(`{"iss":"a","iss":"b"}`), signed(`{"\u0069ss":"a"}`),
	} {
		f.Add(seed)
	}
	var usual lastHead
	usual.keep(shownToken{text: hs256(claims(nil)), plain: parsePlain(hs256(claims(nil)))})
	f.Fuzz(func(t *testing.T, token string) {
		got := parsePlain(token)
		var own lastHead
		own.keep(shownToken{text: token, plain: got})
		for _, l := range []*lastHead{&usual, &own} {
			if diff := cmp.Diff(got, l.parse(token)); diff != "" {
				t.Errorf("%q is read as another with the head of one before (-anew +got):\n%s", token, diff)
			}
		}
		if got == nil {
			return
		}
		if !isToken68(token) {
			t.Errorf("parsePlain(%q) passes, want nothing but a token", token)
		}
		want, _, err := parser.ParseUnverified(token, jwt.MapClaims{})
		if err != nil {
			t.Fatalf("parsePlain(%q) passes, but golang-jwt says %v", token, err)
		}
		want.Raw = ""
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("parsePlain(%q) (-golang-jwt +got):\n%s", token, diff)
		}
		iss, err := shownToken{text: token, plain: got}.issuer()
		if wantIss, wantErr := issuerOf(token); iss != wantIss || err != wantErr {
			t.Errorf("%q is of %q, %v; want %q, %v", token, iss, err, wantIss, wantErr)
		}
	})
}

// The head of a token is taken for read only if it is the very same, and that of
// a token that was verified.
func TestAHeadThatWasReadBefore(t *testing.T) {
	a := authn(t, aSecret, bySecret)
	before := hs256(claims(nil))
	if _, why := a.verify(t.Context(), before); why != nil {
		t.Fatal(why.detail)
	}
	last := a.heads.Load()
	head, _, _ := strings.Cut(before, ".")
	if last == nil || last.text != head {
		t.Fatalf("the last head is %v, want that of the token that was verified", last)
	}
	other := signed(`{"iss":"` + alice + `"}`)
	for name, token := range map[string]string{
		"the same":               before,
		"another payload":        hs256(claims(map[string]any{"sub": "u2"})),
		"another head":           other,
		"one that goes on":       head + "A." + before[len(head)+1:],
		"one that ends before":   head[:len(head)-1] + before[len(head):],
		"the head alone":         head,
		"and a dot":              head + ".",
		"nothing":                "",
		"no signature":           before[:strings.LastIndexByte(before, '.')],
		"a line end":             before + "\n",
		"a line end in the head": head + "\n" + before[len(head):],
		"too long":               head + "." + strings.Repeat("A", maxToken) + ".AA",
	} {
		if diff := cmp.Diff(parsePlain(token), a.heads.parse(token)); diff != "" {
			t.Errorf("%s (-anew +got):\n%s", name, diff)
		}
	}
	if _, why := a.verify(t.Context(), other); why == nil {
		t.Fatal("a token of a stranger is believed")
	}
	if a.heads.Load() != last {
		t.Error("a token that is not believed has changed the last head")
	}
}

// FuzzBothWays signs whatever it is given, or does not: a plain token fares as
// it would if golang-jwt parsed it.
func FuzzBothWays(f *testing.F) {
	a := authn(f, jwks(jwk(ecKey().Public(), map[string]any{"kid": "e"}), jwk(edKey().Public(), map[string]any{"kid": "d"})), func(c *AuthnConfig) {
		byJWKS(c)
		c.Issuers[0].Algorithms, c.Issuers[0].Types = []string{"EdDSA", "ES256"}, []string{"JWT"}
		c.Issuers[0].Audiences = []string{"orders"}
	})
	const good = `{"iss":"` + alice + `","aud":"orders","sub":"u1","exp":99999999999}`
	for _, header := range []string{
		`{"alg":"EdDSA","typ":"JWT","kid":"d"}`, `{"alg":"EdDSA","typ":"jwt"}`, `{"alg":"EdDSA","kid":"d"}`, `{"alg":"ES256","typ":"JWT","kid":"d"}`,
		`{"alg":"none","typ":"JWT"}`, `{"alg":"HS256","typ":"JWT","kid":"d"}`, `{"alg":"EdDSA","typ":"JWT","kid":"d","crit":"exp"}`,
		`{"alg":"EdDSA","typ":"JWT","kid":""}`, `{"alg":"EdDSA","typ":"JWT","kid":"x"}`, `{"ALG":"EdDSA","typ":"JWT","kid":"d"}`, `{"alg":"EdDSA","alg":"none","typ":"JWT","kid":"d"}`,
	} {
		f.Add(header, good, true)
		f.Add(header, good, false)
	}
	for _, payload := range []string{
		`{}`, `{"iss":"` + alice + `"}`, strings.Replace(good, "orders", "x", 1), strings.Replace(good, "99999999999", "1", 1), strings.Replace(good, "99999999999", `"1"`, 1),
		strings.Replace(good, `"u1"`, "7", 1), strings.Replace(good, "{", `{"nbf":99999999999,`, 1), strings.Replace(good, alice, "x", 1), good + "{}",
	} {
		f.Add(`{"alg":"EdDSA","typ":"JWT","kid":"d"}`, payload, true)
	}
	by := a.issuers[alice]
	f.Fuzz(func(t *testing.T, header, payload string, truly bool) {
		enc := base64.RawURLEncoding.EncodeToString
		text := enc([]byte(header)) + "." + enc([]byte(payload))
		sum := must(jwt.SigningMethodEdDSA.Sign(text, edKey()))
		if !truly {
			sum[0]++
		}
		token := text + "." + enc(sum)
		plain := parsePlain(token)
		if plain == nil {
			return
		}
		want, wantWhy := by.verify(t.Context(), shownToken{text: token})
		got, why := by.verify(t.Context(), shownToken{text: token, plain: plain})
		if (why == nil) != (wantWhy == nil) || why != nil && (why.reason != wantWhy.reason || why.reason != exchange.TokenExpired && *why != *wantWhy) {
			t.Errorf("%s %s is rejected for %+v, want %+v", header, payload, why, wantWhy)
		}
		if diff := cmp.Diff(want.claims, got.claims); diff != "" || want.issuer != got.issuer || !want.end(0).Equal(got.end(0)) {
			t.Errorf("%s %s: the claims differ (-want +got):\n%s", header, payload, diff)
		}
		if why == nil && !truly {
			t.Errorf("%s %s is believed with another signature", header, payload)
		}
	})
}

package authz

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"sidecar/internal/exchange"
)

func TestAPIKeys(t *testing.T) {
	a := accepting(t, keysOnly)
	short := strings.Repeat("k", minKey-1)
	tests := []struct {
		name   string
		fields []string
		says   string // why it is refused; empty for a key that is good
	}{
		{"a good key", []string{aKey}, ""},
		{"another", []string{aKey + "x"}, "the API key is not known"},
		{"in capitals", []string{strings.ToUpper(aKey)}, "the API key is not known"},
		{"a part of it", []string{aKey[:len(aKey)-1]}, "the API key is not known"},
		{"its hash", []string{strings.Split(aKeyFile, `"`)[11]}, "the API key is not known"},
		{"twice", []string{aKey, aKey}, "there is more than one X-Api-Key header"},
		{"a list", []string{aKey + ", " + aKey}, "the API key is not known"},
		{"empty", []string{""}, "the X-Api-Key header is empty"},
		{"empty, and then a good one", []string{"", aKey}, "there is more than one X-Api-Key header"},
		{"short", []string{short}, "the API key is not known"},
		{"long", []string{strings.Repeat("k", maxKey)}, "the API key is not known"},
		{"too long", []string{strings.Repeat("k", maxKey+1)}, "the API key is longer than 256 bytes"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r, record := request("/")
			r.Header["X-Api-Key"] = tt.fields
			err := a.Check(r)
			if tt.says == "" {
				if err != nil || record.Principal() == nil {
					t.Errorf("Check() = %v, principal %v; want nil and a principal", err, record.Principal())
				}
				return
			}
			f := refusal(t, err)
			if f.Reason != exchange.APIKeyInvalid || f.Detail != tt.says || f.Note != "" || record.Principal() != nil {
				t.Errorf("Check() = %+v, principal %v; want api_key_invalid: %s", f, record.Principal(), tt.says)
			}
		})
	}
}

// A fast hash keeps only what nobody can guess: a short key never counts,
// whoever has put its hash into the file.
func TestAShortKeyNeverCounts(t *testing.T) {
	const key = "hunter2"
	sum := sha256.Sum256([]byte(key))
	file := `{"name": "ci", "hash": "sha256:` + base64.RawURLEncoding.EncodeToString(sum[:]) + `"}`
	c := AuthnConfig{APIKeys: &APIKeysConfig{Header: "X-API-Key", File: "keys"}}
	a, err := NewAuthn("users", c, files{"keys": file}.read, nil)
	if err != nil {
		t.Fatal(err)
	}
	r, _ := showing(shows("X-API-Key", key))
	if f := refusal(t, a.Check(r)); f.Reason != exchange.APIKeyInvalid {
		t.Errorf("Check() = %v, want api_key_invalid", f)
	}
}

func TestAKeyNamesAPrincipal(t *testing.T) {
	const other = "sk_other_0123456789abcdef0123456789abcdef012345"
	entry := must(APIKeyEntry(other, "partner", []string{"reader", "writer"}))
	entry = strings.Replace(entry, "}", `,"claims":{"tenant":"acme","id":9007199254740993,"sub":"root","name":"root","roles":["root"]}}`, 1)
	c := AuthnConfig{
		APIKeys: &APIKeysConfig{Header: "x-key", File: "keys"},
		Claims:  map[string]string{"subject": "email", "roles": "realm_access.roles", "tenant": "tid"},
	}
	// Two keys of one name: the old one still counts while the new one spreads.
	a, err := NewAuthn("users", c, files{"keys": aKeyFile + "\n" + entry + "\r\n" + must(APIKeyEntry(aKey+"2", "nightly", nil))}.read, nil)
	if err != nil {
		t.Fatal(err)
	}
	principal := func(key string) *exchange.Principal {
		r, record := showing(shows("X-Key", key))
		if err := a.Check(r); err != nil {
			t.Fatal(err)
		}
		return record.Principal()
	}
	p := principal(other)
	names := []string{"subject", "sub", "name", "roles", "tenant", "id"}
	got := map[string]any{}
	for _, name := range names {
		got[name], _ = p.Claim(name)
	}
	want := map[string]any{
		"subject": "partner", "sub": "partner", "name": "partner", "roles": []any{"reader", "writer"},
		"tenant": "acme", "id": json.Number("9007199254740993"),
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("claims (-want +got):\n%s", diff)
	}
	if p.Subject != "partner" || p.By != exchange.ByAPIKey || !cmp.Equal(p.Roles, []string{"reader", "writer"}) {
		t.Errorf("principal = %+v, want partner, apiKey, reader and writer", p)
	}
	for key, roles := range map[string]int{aKey: 1, aKey + "2": 0} {
		if p := principal(key); p.Subject != "nightly" || len(p.Roles) != roles {
			t.Errorf("principal = %+v, want nightly with %d roles", p, roles)
		}
	}
}

func TestFilesOfAPIKeys(t *testing.T) {
	const object = "must be a JSON object of name and hash, and perhaps roles and claims"
	const hash = `"hash":"sha256:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"`
	tests := []struct {
		name string
		file string
		keys int
		want string // the problem
	}{
		{"one", `{"name":"a",` + hash + `}`, 1, ""},
		{"empty lines", "\n\r\n" + `{"name":"a",` + hash + "}\r\n\n", 1, ""},
		{"none: the last one was taken back", "\n", 0, ""},
		{"claims", `{"name":"a",` + hash + `,"claims":{"tenant":"acme"}}`, 1, ""},

		{"a list", `[{"name":"a",` + hash + `}]`, 0, "line 1: " + object},
		{"half an object", "\n" + `{"name":"a",` + hash, 0, "line 2: " + object},
		{"YAML", "- name: a", 0, "line 1: " + object},
		{"a key that is not known", `{"name":"a",` + hash + `,"role":"root"}`, 0, "line 1: " + object},
		{"roles that are no list", `{"name":"a",` + hash + `,"roles":"root"}`, 0, "line 1: " + object},
		{"two objects", `{"name":"a",` + hash + `}{}`, 0, "line 1: must be one JSON object, here begins another value"},
		{"null", `null`, 0, "line 1: name must be 1 to 128 bytes of printable text"},
		{"no name", `{` + hash + `}`, 0, "line 1: name must be 1 to 128 bytes of printable text"},
		{"a name of two lines", `{"name":"a\nb",` + hash + `}`, 0, "line 1: name must be 1 to 128 bytes of printable text"},
		{"an empty role", `{"name":"a",` + hash + `,"roles":[""]}`, 0, "line 1: roles must each be printable text, and not empty"},
		{"no hash", `{"name":"a"}`, 0, "line 1: hash must be sha256: and 43 characters of base64url"},
		{"a key in place of its hash", `{"name":"a","hash":"` + aKey + `"}`, 0, "line 1: hash must be sha256: and 43 characters of base64url"},
		{"another hash", `{"name":"a","hash":"sha512:AAAA"}`, 0, "line 1: hash must be sha256: and 43 characters of base64url"},
		{"bits that nobody reads", `{"name":"a","hash":"sha256:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAB"}`, 0, "line 1: hash must be sha256: and 43 characters of base64url"},
		{"one key twice", `{"name":"a",` + hash + "}\n" + `{"name":"b",` + hash + `}`, 0, "line 2: hash is that of line 1 already"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			entries, err := parseKeyEntries([]byte(tt.file))
			got := ""
			if err != nil {
				got = err.Error()
			}
			if got != tt.want || len(entries) != tt.keys {
				t.Errorf("parseKeyEntries() = %d keys, %q; want %d, %q", len(entries), got, tt.keys, tt.want)
			}
		})
	}
}

func TestAPIKeyEntry(t *testing.T) {
	key := NewAPIKey()
	if other := NewAPIKey(); key == other || len(key) != 46 || !strings.HasPrefix(key, "sk_") {
		t.Errorf("NewAPIKey() = %d characters, another one: %v; want 46 and true", len(key), key != other)
	}
	tests := []struct {
		name string
		key  string
		who  string
		role string
		want string
	}{
		{"a new key", key, "ci", "reader", ""},
		{"the shortest", aKey[:minKey], "ci", "reader", ""},
		{"a short one", aKey[:minKey-1], "ci", "reader", "key of 31 bytes, must be 32 to 256"},
		{"a long one", strings.Repeat("k", maxKey+1), "ci", "reader", "key of 257 bytes, must be 32 to 256"},
		{"one with a space", aKey + " " + aKey, "ci", "reader", "key must be printable ASCII without spaces"},
		{"one with an umlaut", aKey + "ü", "ci", "reader", "key must be printable ASCII without spaces"},
		{"no name", key, "", "reader", "name must be 1 to 128 bytes of printable text"},
		{"an empty role", key, "ci", "", "roles must each be printable text, and not empty"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			line, err := APIKeyEntry(tt.key, tt.who, []string{tt.role})
			got := ""
			if err != nil {
				got = err.Error()
			}
			if got != tt.want {
				t.Fatalf("APIKeyEntry() = %q, want %q", got, tt.want)
			}
			if strings.Contains(line+got, tt.key) {
				t.Error("APIKeyEntry() tells the key")
			}
			if entries, err := parseKeyEntries([]byte(line)); tt.want == "" && (err != nil || len(entries) != 1 || entries[0].digest != digestOf(tt.key)) {
				t.Errorf("parseKeyEntries(%s) = %v, %v; want the key's hash", line, entries, err)
			}
		})
	}
}

func TestAnAPIKeyCostsLittleMemory(t *testing.T) {
	a := accepting(t, keysOnly)
	r, _ := showing(goodKey)
	allocs := testing.AllocsPerRun(100, func() {
		if _, why := a.prove(r.Context(), r); why != nil {
			t.Fatal(why.detail)
		}
	})
	if allocs != 0 {
		t.Errorf("%v allocations, want none", allocs)
	}
}

// FuzzAPIKeyFile: what is no good file is told without its words.
func FuzzAPIKeyFile(f *testing.F) {
	for _, seed := range []string{"", aKeyFile, "{}\nnull", `{"name":"a","hash":"sha256:"}`, `{"claims":{"a":1e999}}`, "[[[["} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		entries, err := parseKeyEntries(data)
		if err != nil {
			if len(err.Error()) > 100 {
				t.Errorf("parseKeyEntries() = %v, want none of the file's words", err)
			}
			return
		}
		for _, e := range entries {
			if p := e.principal(); p.Subject == "" || strings.ContainsAny(p.Subject, "\r\n\x00") {
				t.Errorf("principal = %+v, want a subject that fits on a line", p)
			}
		}
	})
}

func FuzzAPIKey(f *testing.F) {
	a := accepting(f, keysOnly)
	for _, seed := range []string{"", aKey, aKey + "\x00", " " + aKey, strings.Repeat("k", maxKey)} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, key string) {
		r, record := request("/")
		r.Header["X-Api-Key"] = []string{key}
		if err := a.Check(r); (err == nil) != (key == aKey) || (err == nil) != (record.Principal() != nil) {
			t.Errorf("Check(%q) = %v, principal %v", key, err, record.Principal())
		}
	})
}

func BenchmarkAPIKey(b *testing.B) {
	a := accepting(b, keysOnly)
	r, _ := showing(goodKey)
	b.ReportAllocs()
	for b.Loop() {
		if _, why := a.prove(r.Context(), r); why != nil {
			b.Fatal(why.detail)
		}
	}
}

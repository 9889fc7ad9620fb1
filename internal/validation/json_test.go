package validation

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestScan(t *testing.T) {
	const good, malformed, complex = "good", "malformed", "complex"
	tests := []struct {
		name, text, want string
	}{
		{"an object", `{"a": [1, -0.5e+3, true, false, null, "x\u00e9\n"], "b": {}}`, good},
		{"a bare value", ` 0 `, good},
		{"an empty array", `[]`, good},
		{"three levels", `[[[]]]`, good},
		{"four levels", `[[[[]]]]`, complex},
		{"four levels of objects", `{"a":{"a":{"a":{}}}}`, complex},
		{"the same name in two objects", `[{"a":1},{"a":1}]`, good},
		{"the same name within itself", `{"a":{"a":1}}`, good},
		{"the same name twice", `{"a":1,"a":2}`, malformed},
		{"the same name, spelt in two ways", `{"a":1,"\u0061":2}`, malformed},
		{"the same name twice around an object", `{"a":{"b":1},"a":2}`, malformed},
		{"a name differs in case", `{"a":1,"A":2}`, good},
		{"nothing", ``, malformed},
		{"white space", " \t\r\n", malformed},
		{"two texts", `{} {}`, malformed},
		{"a comma at the end", `[1,]`, malformed},
		{"a comment", `{/**/}`, malformed},
		{"single quotes", `{'a':1}`, malformed},
		{"a leading zero", `01`, malformed},
		{"a plus", `+1`, malformed},
		{"no digit after the point", `1.`, malformed},
		{"no digit in the exponent", `1e`, malformed},
		{"NaN", `NaN`, malformed},
		{"a raw line end in a string", "\"a\nb\"", malformed},
		{"an unknown escape", `"\x41"`, malformed},
		{"half an escape", `"\u00`, malformed},
		{"an open string", `"a`, malformed},
		{"an open array", `[1`, malformed},
		{"no colon", `{"a" 1}`, malformed},
		{"a byte order mark", "\ufeff{}", malformed},
		{"what is not UTF-8", "\"\xff\"", malformed},
		{"a number that takes long", `1e999999999`, complex},
		{"a number beyond what integers hold", `1e99999999999999999999`, complex},
		{"a very long number", strings.Repeat("9", 1001), complex},
		{"a long number", strings.Repeat("9", 1000), good},
		{"as many tokens as may be", `[` + strings.Repeat(`1,`, 48) + `1]`, good},
		{"one more", `[` + strings.Repeat(`1,`, 49) + `1]`, complex},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			err := (&scanner{data: []byte(tt.text), depth: 3, tokens: 50, unique: true}).scan()
			got := good
			switch {
			case errors.Is(err, errComplex):
				got = complex
			case err != nil:
				got = malformed
			}
			if got != tt.want {
				t.Errorf("scan(%q) = %v, want it to be %s", tt.text, err, tt.want)
			}
		})
	}
}

func TestNamesStandOnceInLargeObjects(t *testing.T) {
	var b strings.Builder
	for n := range 100 {
		fmt.Fprintf(&b, `,"n%d":{"n%d":0}`, n, n)
	}
	members := b.String()[1:]
	if err := (&scanner{data: []byte("{" + members + "}"), unique: true}).scan(); err != nil {
		t.Errorf("scan of 100 names = %v, want nil", err)
	}
	for _, again := range []string{"n0", "n15", "n16", "n99"} {
		text := `{` + members + `,"` + again + `":1}`
		if (&scanner{data: []byte(text), unique: true}).scan() == nil {
			t.Errorf("%s stands twice, and nobody sees it", again)
		}
		if err := (&scanner{data: []byte(text)}).scan(); err != nil {
			t.Errorf("scan that may find names twice = %v, want nil", err)
		}
	}
}

// Whatever byte stands wherever, and whatever is around it.
func TestWhichBytesStandForThemselves(t *testing.T) {
	for _, around := range []byte{'a', ' ', '!', '#', ']', 0x7f, 0x80, 0xff} {
		for length := range 20 {
			data := bytes.Repeat([]byte{around}, length)
			if got := ordinary(data, 0); got != length {
				t.Fatalf("ordinary(%q, 0) = %d, want all", data, got)
			}
			for at := range data {
				for c := range 256 {
					data[at] = byte(c)
					want := length
					if c == '"' || c == '\\' || c < ' ' {
						want = at
					}
					if got := ordinary(data, min(at, 3)); got != want {
						t.Fatalf("ordinary(%q, %d) = %d, want %d", data, min(at, 3), got, want)
					}
				}
				data[at] = around
			}
		}
	}
	// Of several the first one counts.
	for first := range 16 {
		data := []byte("\"\\\x00\x1f\"\\\x01\x1e\"\\\x02\x1d\"\\\x03\x1c")
		copy(data, "!#]~ \x7f\x80\xff!#]~ \x7f\x80\xff"[:first])
		if got := ordinary(data, 0); got != first {
			t.Errorf("ordinary(%q, 0) = %d, want %d", data, got, first)
		}
	}
}

// FuzzJSONScanner finds texts about which the scanner and encoding/json do not
// agree: whether they are JSON, and how deep they are.
func FuzzJSONScanner(f *testing.F) {
	for _, text := range []string{`{"a":[1,2.5e-3,{"b":null}],"a":true}`, `[[],{},""]`, `"\ud800"`, `-`, `1e5`, "\xff", `{"a":1}x`} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		s := &scanner{data: text}
		err := s.scan()
		if errors.Is(err, errComplex) {
			return // a number
		}
		valid := json.Valid(text) && utf8.Valid(text)
		if (err == nil) != valid {
			t.Fatalf("scan(%q) = %v, encoding/json says valid: %v", text, err, valid)
		}
		if !valid {
			return
		}
		deep, tokens := measure(text)
		if s.count != tokens {
			t.Errorf("scan(%q) counts %d, encoding/json %d", text, s.count, tokens)
		}
		if err := (&scanner{data: text, depth: max(deep, 1)}).scan(); err != nil {
			t.Errorf("scan(%q) with depth %d = %v, want nil", text, deep, err)
		}
		if deep > 1 && (&scanner{data: text, depth: deep - 1}).scan() == nil {
			t.Errorf("scan(%q) with depth %d = nil, want an error", text, deep-1)
		}
		twice := (&scanner{data: text, unique: true}).scan() != nil
		if want := ambiguous(json.NewDecoder(bytes.NewReader(text))); twice != want {
			t.Errorf("scan(%q) finds a name twice: %v, want %v", text, twice, want)
		}
	})
}

// measure returns the depth of a text, and how many values and names it has.
func measure(text []byte) (deep, tokens int) {
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	for depth := 0; ; {
		token, err := d.Token()
		if err != nil {
			return deep, tokens
		}
		switch token {
		case json.Delim('{'), json.Delim('['):
			depth++
			deep = max(deep, depth)
		case json.Delim('}'), json.Delim(']'):
			depth--
			continue
		}
		tokens++
	}
}

// ambiguous reports whether an object in the value that d reads next has two
// members of one name.
func ambiguous(d *json.Decoder) bool {
	d.UseNumber()
	token, err := d.Token()
	if err != nil {
		return false
	}
	found := false
	names := map[string]bool{}
	for delim, _ := token.(json.Delim); (delim == '{' || delim == '[') && d.More(); {
		if delim == '{' {
			name, _ := d.Token()
			text, _ := name.(string)
			found = found || names[text]
			names[text] = true
		}
		found = ambiguous(d) || found
	}
	if _, open := token.(json.Delim); open {
		_, _ = d.Token()
	}
	return found
}

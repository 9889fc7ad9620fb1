package exchange

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
)

func TestClaim(t *testing.T) {
	p := &Principal{
		Names: map[string]string{
			"roles":  "realm.access.roles",
			"tenant": "https://shop.example/tenant",
			"sub":    "email", // ours goes before the token's own
			"lost":   "nowhere",
			"shape":  "sub.name",
		},
	}
	d := json.NewDecoder(strings.NewReader(`{
		"sub": "alice", "email": "alice@shop.example", "empty": null, "": "nameless",
		"realm": {"access": {"roles": ["reader"]}, "a.b": 1},
		"realm.flat": "whole", "realm.access": "in the way",
		"https://shop.example/tenant": "acme"
	}`))
	d.UseNumber()
	if err := d.Decode(&p.Claims); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name string
		want any
		ok   bool
	}{
		{"email", "alice@shop.example", true},
		{"sub", "alice@shop.example", true},
		{"roles", []any{"reader"}, true},
		{"tenant", "acme", true},
		{"https://shop.example/tenant", "acme", true},
		{"realm.access.roles", []any{"reader"}, true},
		{"realm.access", "in the way", true}, // a name that is there whole is no path
		{"realm.flat", "whole", true},
		{"empty", nil, true},
		{"", "nameless", true},
		{"realm.a.b", nil, false}, // a part of a path holds no dots
		{"lost", nil, false},
		{"shape", nil, false}, // into a text
		{"nobody", nil, false},
		{"realm.nobody", nil, false},
		{"realm.", nil, false},
		{".realm", nil, false},
		{"Email", nil, false},
	}
	for _, tt := range tests {
		if got, ok := p.Claim(tt.name); ok != tt.ok || !reflect.DeepEqual(got, tt.want) {
			t.Errorf("Claim(%q) = %v, %v, want %v, %v", tt.name, got, ok, tt.want, tt.ok)
		}
	}
	if got, ok := (&Principal{}).Claim("sub"); ok {
		t.Errorf("a principal without claims has sub %v", got)
	}
}

func TestText(t *testing.T) {
	tests := []struct {
		claim any
		want  string
		ok    bool
	}{
		{"alice", "alice", true},
		{"", "", true},
		{true, "true", true},
		{false, "false", true},
		{json.Number("42"), "42", true},
		{json.Number("9007199254740993"), "9007199254740993", true}, // more than a float64 can tell
		{json.Number("1e3"), "1000", true},
		{json.Number("1.5E-1"), "0.15", true},
		{1700000000.0, "1700000000", true},
		{0.5, "0.5", true},
		{nil, "", false},
		{[]any{"a"}, "", false},
		{map[string]any{}, "", false},
	}
	for _, tt := range tests {
		if got, ok := Text(tt.claim); got != tt.want || ok != tt.ok {
			t.Errorf("Text(%#v) = %q, %v, want %q, %v", tt.claim, got, ok, tt.want, tt.ok)
		}
	}
	if _, ok := Text(json.Number("1e999")); ok {
		t.Error("a number beyond all numbers has a text")
	}
}

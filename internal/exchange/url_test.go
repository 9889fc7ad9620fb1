package exchange

import (
	"strings"
	"testing"
)

func TestHostURL(t *testing.T) {
	const form = "must be http://HOST:PORT or https://HOST:PORT"
	for raw, want := range map[string]string{
		"http://app:3000":    "",
		"https://app/":       "",
		"http://[::1]:80":    "",
		"":                   form + `, got ""`,
		"app:3000":           form + `, got "app:3000"`,
		"http://:3000":       form + `, got "http://:3000"`,
		"http://app:":        form + `, with a port of 1 to 65535, got "http://app:"`,
		"http://app:0":       form + `, with a port of 1 to 65535, got "http://app:0"`,
		"http://app:65536":   form + `, with a port of 1 to 65535, got "http://app:65536"`,
		"http://app:1/v1":    form + ` and nothing behind it, got "http://app:1/v1"`,
		"http://app:1?":      form + ` and nothing behind it, got "http://app:1?"`,
		"http://app:1#":      form + ` and nothing behind it, got "http://app:1#"`,
		"http://%zz":         form + ", and does not parse",
		"http://u:hunter2@a": form + ", without user and password: a secret must not stand in the policy file",
	} {
		if got := HostURL(raw); got != want {
			t.Errorf("HostURL(%q) = %q, want %q", raw, got, want)
		}
	}
}

func TestRemoteAndSecureURLs(t *testing.T) {
	tests := []struct {
		url            string
		remote, secure bool // is good
	}{
		{"https://id.example.com/keys", true, true},
		{"https://id.example.com/keys?p=b2c", true, true},
		{"http://localhost:8080/keys", true, true},
		{"http://127.0.0.1/keys", true, true},
		{"http://[::1]:1/keys", true, true},
		{"http://id.example.com/keys", true, false},
		{"http://127.0.0.1.example.com/keys", true, false},
		{"http://localhost.example.com/keys", true, false},
		{"http://10.0.0.1/keys", true, false},
		{"https:///keys", false, false},
		{"http:///keys", false, false},
		{"https://u:hunter2@id.example.com/keys", false, false},
		{"https://id.example.com/keys#one", false, false},
		{"https://id.example.com/keys#", false, false},
		{"file:///etc/keys", false, false},
		{"/keys", false, false},
		{"https://%zz/", false, false},
	}
	for _, tt := range tests {
		if problem := RemoteURL(tt.url); (problem == "") != tt.remote || strings.Contains(problem, "hunter2") {
			t.Errorf("RemoteURL(%s) = %q, want it good: %v", tt.url, problem, tt.remote)
		}
		if problem := SecureURL(tt.url); (problem == "") != tt.secure || strings.Contains(problem, "hunter2") {
			t.Errorf("SecureURL(%s) = %q, want it good: %v", tt.url, problem, tt.secure)
		}
	}
}

package exchange

import (
	"net/http"
	"net/http/httptest"
	"testing"
)

func TestIsGRPC(t *testing.T) {
	for contentType, want := range map[string]bool{
		"application/grpc":                true,
		"application/grpc+proto":          true,
		"application/grpc; charset=utf-8": true,
		"application/grpc;x=y":            true,
		"application/grpc-web":            false, // another protocol
		"application/grpc-web+proto":      false,
		"application/grpcx":               false,
		"application/json":                false,
		"text/application/grpc":           false,
		"":                                false,
	} {
		r := httptest.NewRequest("POST", "/", nil)
		r.Header.Set("Content-Type", contentType)
		if IsGRPC(r) {
			t.Errorf("IsGRPC of %q over HTTP/1 = true, want false", contentType)
		}
		r.ProtoMajor = 2
		if got := IsGRPC(r); got != want {
			t.Errorf("IsGRPC of %q = %v, want %v", contentType, got, want)
		}
	}
}

func TestGRPCStatus(t *testing.T) {
	tests := []struct {
		contentType, status string
		code                int
		ok                  bool
	}{
		{"application/grpc", "0", 0, true},
		{"application/grpc", "14", 14, true},
		{"application/grpc+proto", "4", 4, true},
		{"application/grpc", "", 0, false}, // its status comes in trailers
		{"application/grpc", "UNAVAILABLE", 0, false},
		{"application/grpc", "14, 0", 0, false},
		{"application/json", "14", 0, false},
		{"", "14", 0, false},
	}
	for _, tt := range tests {
		h := http.Header{"Content-Type": {tt.contentType}}
		if tt.status != "" {
			h.Set("Grpc-Status", tt.status)
		}
		code, ok := GRPCStatus(&http.Response{StatusCode: 200, Header: h})
		if code != tt.code || ok != tt.ok {
			t.Errorf("GRPCStatus of %q, %q = %d, %v, want %d, %v", tt.contentType, tt.status, code, ok, tt.code, tt.ok)
		}
	}
}

func TestPercentEncode(t *testing.T) {
	for text, want := range map[string]string{
		"":               "",
		"plain text ~!":  "plain text ~!",
		"100%":           "100%25",
		"%41":            "%2541",
		"a\r\nb":         "a%0D%0Ab",
		"\x00\x1f\x7f":   "%00%1F%7F",
		"é":              "%C3%A9",
		"not UTF-8 \xff": "not UTF-8 %FF",
	} {
		if got := percentEncode(text); got != want {
			t.Errorf("percentEncode(%q) = %q, want %q", text, got, want)
		}
	}
}

package exchange

import (
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
)

func TestAReadyAnswerIsSentAsItIs(t *testing.T) {
	f := &Refusal{
		Kind: Authz, Policy: "opa", Reason: ExternalDenied, Header: http.Header{"Location": {"/login"}},
		Ready: &Ready{Status: 302, ContentType: "text/html", Body: []byte("go there")},
	}
	resp := f.Response(httptest.NewRequest("GET", "/", nil), "r-1")
	body, _ := io.ReadAll(resp.Body)
	if resp.StatusCode != 302 || string(body) != "go there" || resp.Header.Get("Content-Type") != "text/html" || resp.Header.Get("Location") != "/login" {
		t.Errorf("%d %v %q, want 302 with the header and body that are ready", resp.StatusCode, resp.Header, body)
	}
}

func TestAReadyAnswerToGRPCIsAStatus(t *testing.T) {
	for status, want := range map[int]string{401: "16", 403: "7", 302: "7", 404: "7"} {
		r := httptest.NewRequest("POST", "/", nil)
		r.ProtoMajor, r.Header = 2, http.Header{"Content-Type": {"application/grpc"}}
		f := &Refusal{Kind: Authz, Policy: "opa", Reason: ExternalDenied, Ready: &Ready{Status: status, ContentType: "text/html", Body: []byte("x")}}
		resp := f.Response(r, "r-1")
		if resp.StatusCode != 200 || resp.Header.Get("Grpc-Status") != want || resp.Header.Get("Content-Type") != "application/grpc" || resp.ContentLength != 0 {
			t.Errorf("%d: %d %v, want 200 with grpc-status %s and no body", status, resp.StatusCode, resp.Header, want)
		}
	}
}

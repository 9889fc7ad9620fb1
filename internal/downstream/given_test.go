package downstream_test

import (
	"io"
	"net/http"
	"testing"
	"testing/synctest"
)

// A header that a handler gives is the handler's again once it is written: what
// becomes of it then, the client does not see.
func TestAHeaderThatIsGivenIsGivenBack(t *testing.T) {
	for name, tt := range map[string]struct {
		length, body string
	}{
		"a body of known length":                 {"5", "hello"},
		"a body in chunks, and trailers with it": {"", "hello"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := http.Header{"A": {"1", "2"}, "Trailer": {"Late"}}
				if tt.length != "" {
					h["Content-Length"] = []string{tt.length}
				}
				gives := func(w http.ResponseWriter, r *http.Request) {
					taker := w.(interface{ SetHeader(http.Header) bool })
					if !taker.SetHeader(h) {
						t.Error("the header is not taken")
					}
					w.Header().Set("B", "3") // as a handler does who does not know of it
					if taker.SetHeader(http.Header{}) {
						t.Error("a second header is taken")
					}
					w.WriteHeader(http.StatusOK)
					h.Set("Late", "not a trailer")
					h.Set(http.TrailerPrefix+"C", "none either")
					_, _ = io.WriteString(w, tt.body)
					_ = http.NewResponseController(w).Flush()
					w.Header().Set("Late", "said")
					if taker.SetHeader(http.Header{}) {
						t.Error("a header is taken when the head is written")
					}
				}
				_, p := serve(t, gives)
				c := p.dial()
				c.send(get)
				resp, body := c.answer(t)
				if body != tt.body || len(resp.Header["A"]) != 2 || resp.Header.Get("B") != "3" {
					t.Errorf("the client gets %v, %q", resp.Header, body)
				}
				want := ""
				if tt.length == "" {
					want = "said"
				}
				if got := resp.Trailer.Get("Late"); got != want || resp.Trailer.Get("C") != "" {
					t.Errorf("the trailers are %v, want Late: %q", resp.Trailer, want)
				}
			})
		})
	}
}

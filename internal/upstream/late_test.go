package upstream

import (
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
)

// net/http lets go of a connection before it hands on an answer without a body:
// the next call may have it by then.
func TestAnAnswerWithoutABodyIsNotTakenForAnEarlierOne(t *testing.T) {
	u := to(t, func(c *Config) { c.Transport = Standard }, handle(t, (*httptest.Server).Start, func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusServiceUnavailable)
	}).URL)
	var all sync.WaitGroup
	for range 50 {
		all.Go(func() {
			for range 300 {
				resp, err := u.RoundTrip(request("GET", "/", "").Request)
				if err != nil {
					t.Error(err)
					return
				}
				resp.Body.Close()
			}
		})
	}
	all.Wait()
}

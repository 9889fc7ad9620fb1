package proxy

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/textproto"
	"strconv"
	"sync"
	"testing"
	"time"
)

// HTTP/2's server goes on reading the header of a 1xx response when its client
// has reset the stream, and does not wait with WriteHeader for the end of that.
func TestInterimHeaderIsNotSharedWithTheServer(t *testing.T) {
	hint := textproto.MIMEHeader{}
	for i := range 500 {
		hint["X-Hint-"+strconv.Itoa(i)] = []string{"hint"}
	}
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		x := newCrossing()
		x.writer.ResponseWriter, x.writer.x = w, x
		for r.Context().Err() == nil {
			_ = x.own.interim.forward(http.StatusEarlyHints, hint)
		}
	}))
	s.Config.Protocols = new(http.Protocols)
	s.Config.Protocols.SetUnencryptedHTTP2(true)
	s.Start()
	defer s.Close()
	client := &http.Transport{Protocols: s.Config.Protocols, MaxResponseHeaderBytes: 1 << 30}
	defer client.CloseIdleConnections()
	var all sync.WaitGroup
	for i := range 200 {
		all.Go(func() {
			ctx, cancel := context.WithTimeout(t.Context(), time.Duration(1+i%20)*time.Millisecond)
			defer cancel()
			r, err := http.NewRequestWithContext(ctx, http.MethodGet, s.URL, nil)
			if err != nil {
				t.Error(err)
				return
			}
			if resp, err := client.RoundTrip(r); err == nil {
				resp.Body.Close()
			}
		})
		if i%8 == 7 {
			all.Wait()
		}
	}
	all.Wait()
}

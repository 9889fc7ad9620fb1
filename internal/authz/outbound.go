package authz

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"sidecar/internal/exchange"
)

const maxHeader = 64 << 10 // of an answer, in bytes

// newTransport returns what makes our own calls. connect is how long a
// connection may take to begin: it does not end with the call that began it.
// conns is how many there may be at once, 0 for any number; idle is how many
// are kept for the next call, 0 for none. No proxy is taken from the
// environment.
func newTransport(connect time.Duration, conns, idle int) *http.Transport {
	return &http.Transport{
		DialContext:            (&net.Dialer{Timeout: connect}).DialContext,
		TLSHandshakeTimeout:    connect,
		MaxConnsPerHost:        conns,
		MaxIdleConnsPerHost:    idle,
		DisableKeepAlives:      idle == 0,
		IdleConnTimeout:        30 * time.Second,
		MaxResponseHeaderBytes: maxHeader,
		DisableCompression:     true,
		ForceAttemptHTTP2:      true,
	}
}

// statusError is an answer that is no good.
type statusError struct{ code int }

func (e *statusError) Error() string { return fmt.Sprintf("the answer is %d, must be 200", e.code) }

// call returns the body of a good answer, of most bytes at most. The request
// goes straight to the transport: a redirect is an answer like any other that
// is not 200, and no error repeats the URL.
func call(transport http.RoundTripper, req *http.Request, most exchange.Size) ([]byte, error) {
	req.Header.Set("User-Agent", "sidecar")
	resp, err := transport.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, &statusError{resp.StatusCode}
	}
	data, err := io.ReadAll(io.LimitReader(resp.Body, int64(most)+1))
	if err == nil && len(data) > int(most) {
		err = fmt.Errorf("the answer is larger than %v", most)
	}
	return data, err
}

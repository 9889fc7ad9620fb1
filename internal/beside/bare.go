package beside

import (
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

// toldAt is where a child tells how many goroutines it has.
const toldAt = "/-/goroutines"

// Serve serves handler on a port of its own, and says where on standard
// output. It returns when it cannot.
func Serve(handler http.Handler) error {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Println("http://" + l.Addr().String())
	return http.Serve(l, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == toldAt {
			fmt.Fprintln(w, "go_goroutines", runtime.NumGoroutine())
			return
		}
		handler.ServeHTTP(w, r)
	}))
}

// Bare returns a ReverseProxy to upstreams, in turn, as one writes it who knows
// what it needs: enough idle connections, and buffers that are used again.
func Bare(upstreams ...string) (*httputil.ReverseProxy, error) {
	var targets []*url.URL
	for _, upstream := range upstreams {
		target, err := url.Parse(upstream)
		if err != nil {
			return nil, err
		}
		targets = append(targets, target)
	}
	var next atomic.Uint64
	return &httputil.ReverseProxy{
		Rewrite: func(pr *httputil.ProxyRequest) {
			pr.SetURL(targets[next.Add(1)%uint64(len(targets))])
			pr.SetXForwarded()
		},
		Transport: &http.Transport{
			MaxIdleConnsPerHost: 256, IdleConnTimeout: time.Minute, DisableCompression: true,
		},
		BufferPool: &buffers{},
		ErrorLog:   log.New(io.Discard, "", 0),
	}, nil
}

type buffers struct{ sync.Pool }

func (p *buffers) Get() []byte {
	if b, ok := p.Pool.Get().(*[32 << 10]byte); ok {
		return b[:]
	}
	return make([]byte, 32<<10)
}

func (p *buffers) Put(b []byte) { p.Pool.Put((*[32 << 10]byte)(b)) }

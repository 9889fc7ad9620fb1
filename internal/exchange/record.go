package exchange

import (
	"cmp"
	"net/http"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
)

// Record is what is known of one exchange so far. Rooms write facts to it,
// never orders. Its methods may be called from many goroutines; a fact that
// comes after the end is dropped.
//
// The plain fields are written by the proxy, and TraceID by an observer's
// Begin, on the request's own goroutine, before the rooms that read them are called.
type Record struct {
	ID     string    // the request id
	Start  time.Time // when the request's head had been read
	Method string
	Host   string
	// Scheme is what the client speaks, https or http, as far as trusted proxies
	// tell.
	Scheme string
	Path   string // decoded, without the query
	Proto  string
	Client netip.Addr     // who sends it, as far as trusted proxies tell
	Peer   netip.AddrPort // the other end of the connection
	// Trusted: the peer's word on others is believed.
	Trusted bool
	GRPC    bool

	// RequestHeader is the client's. It is read, never changed or kept.
	RequestHeader http.Header

	// TraceID is that of the trace that the exchange is part of, set by the
	// tracing observer when it begins; empty when it is not traced.
	TraceID string

	PolicyHash string // of the policy file that it is judged by
	Route      string // "none" until a route is found
	// Upstream is the route's; once it has ended, the one that was asked last.
	Upstream string

	// TraceParent names the exchange's own span, for those it asks something
	// (https://www.w3.org/TR/trace-context/#traceparent-header); set and empty
	// as TraceID is.
	TraceParent string

	// Deadline is when it is too late for an answer to begin: nobody waits past
	// it, for whatever reason. Before the gates it is the caller's own, or the end
	// of the route's maxDuration; behind them the end of its timeout too. Zero is
	// never.
	Deadline time.Time

	// Once it has ended:

	Status int // told to the client, or StatusClientClosed
	// GRPCStatus is what a gRPC call ended with, as it was told to the client;
	// empty where there is none.
	GRPCStatus string
	// Answered is the attempt whose answer the client was given; nil where it
	// was none's.
	Answered *Attempt
	BytesIn  int64
	BytesOut int64
	Took     time.Duration
	// Reason is why the exchange did not end as the upstream meant it to;
	// empty when it did. Guarded by mu until the record is sealed.
	Reason Reason

	uploading atomic.Bool
	once      atomic.Bool

	mu          sync.Mutex // guards all below
	sealed      bool
	principal   *Principal
	notes       []*Decision
	notable     bool // one of notes is
	made        bool // one of notes is of this exchange alone
	attempts    int
	waited      time.Duration
	diverted    string
	noMore      *Refusal
	clientFault *Refusal
	header      []Field
	forward     []Field
	called      called

	// Where notes and header begin.
	usual struct {
		notes  Passes
		header [usualFields]Field
	}
}

// NoRouteName is the name of the route of a request that matches none.
const NoRouteName = "none"

// How many there are when every policy lets a request pass.
const (
	usualDecisions = 8
	usualFields    = 4
)

// Identify says who sends the request.
func (r *Record) Identify(p *Principal) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.sealed {
		r.principal = p
	}
}

// Principal returns who sends the request, or nil while nobody has proven it.
func (r *Record) Principal() *Principal {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.principal
}

// NextAttempt counts an upstream call and returns its number, from 1.
func (r *Record) NextAttempt() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := r.attempts + 1
	if !r.sealed {
		r.attempts = n
	}
	return n
}

// Attempts returns how many upstream calls there were.
func (r *Record) Attempts() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.attempts
}

// Why returns what Because has said so far.
func (r *Record) Why() Reason {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.Reason
}

// Plain reports whether there is nothing to tell of the exchange so far: no
// policy did more than let it pass, and it was one call to the route's upstream.
func (r *Record) Plain() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.attempts <= 1 && r.diverted == "" && r.Reason == "" && !r.notable
}

// Waited adds to the time that upstream calls took until they answered or
// failed.
func (r *Record) Waited(d time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.sealed {
		r.waited += d
	}
}

// UpstreamTook returns how long upstream calls took, all together, until they
// answered or failed. What lies between them is not in it, nor are bodies.
func (r *Record) UpstreamTook() time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.waited
}

// Divert says that another upstream than the route's is asked from now on.
// CallOnce was said of the one before, and holds no more.
func (r *Record) Divert(upstream string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.sealed {
		r.diverted = upstream
		r.once.Store(false)
		r.noMore = nil
	}
}

// Diverted returns the upstream that is asked in place of the route's; "" if
// that one is.
func (r *Record) Diverted() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.diverted
}

// Asked returns the upstream that is asked: the route's, or another one.
func (r *Record) Asked() string { return cmp.Or(r.Diverted(), r.Upstream) }

// CallOnce says that the upstream call at hand is not to be repeated, nor is
// another one to be made beside it: a breaker finds out by it whether the
// upstream has recovered.
func (r *Record) CallOnce() { r.once.Store(true) }

// CalledOnce reports whether CallOnce was said.
func (r *Record) CalledOnce() bool { return r.once.Load() }

// CallNoMore says that another call to the upstream would end with f: its breaker
// has opened.
func (r *Record) CallNoMore(f *Refusal) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.noMore = f
}

// CalledNoMore returns what CallNoMore said last; nil: nothing.
func (r *Record) CalledNoMore() *Refusal {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.noMore
}

// BlameClient says that the client's side of the wire failed: a body that is
// malformed, too large or too slow, or a client that left. The first word
// stands: what follows is its consequence. From then on the exchange is
// nobody else's failure: it is not repeated and not counted.
func (r *Record) BlameClient(f *Refusal) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.sealed && r.clientFault == nil {
		r.clientFault = f
	}
}

// ClientFault returns what the client's side of the wire did wrong, or nil.
func (r *Record) ClientFault() *Refusal {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.clientFault
}

// Because says why the exchange does not end as the upstream meant it to. The
// first word stands.
func (r *Record) Because(reason Reason) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.sealed && r.Reason == "" {
		r.Reason = reason
	}
}

// SetUploading says whether the proxy waits for the client's body just now.
func (r *Record) SetUploading(on bool) { r.uploading.Store(on) }

// Uploading reports whether the proxy waits for the client's body just now:
// time that passes is the client's, not the upstream's.
func (r *Record) Uploading() bool { return r.uploading.Load() }

// Seal ends the record: what comes later is dropped.
func (r *Record) Seal() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.sealed = true
}

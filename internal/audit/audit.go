// Package audit writes who was refused and who changed what, to a file whose
// lines cannot be changed afterwards without it showing.
//
// It is an observer, the first one: it decides nothing but that what it cannot
// write is not done. A line is one JSON object. Each holds a sequence number and
// the SHA-256 of the line before it, so that a line that is changed, taken out or
// put in breaks the chain, and Verify says where. The first line of all names
// "genesis" instead. What the chain cannot show is that its last lines were cut
// off: for that, compare its last hash with one that was kept elsewhere.
//
//	seq         1, 2, 3, through every file and every start of the process
//	prev        the SHA-256, in hex, of the line before it without its newline
//	time
//	event       authn, authz: a request was refused; admin: a credential was;
//	            reload, circuitBreaker, fault, experiment: a change; audit: of
//	            this file
//	result      refused, made, failed; for audit: begun, ended, reopened,
//	            resumed, torn, lost
//	who         ? the proven subject; of a change, the credential or what asked
//	by, issuer  ? the kind of credential that proved it, and who vouches for it
//	client      ? its address, as far as trusted proxies tell
//	peer        ? the other end of the connection
//	requestId   ? of the request that was refused, or that asked admin
//	method      ? and host, path, route, status of a request that was refused
//	name        ? what was changed: a breaker, a fault, a policy file, an experiment
//	from, to    ? its states; for reload, the hashes of the policy files
//	policy      ? the policy that refused; and its rule, reason, and line in the
//	            file
//	detail      ? in words
//	policyHash  ? of the policy file by which it was judged
//	lost        ? of result lost: how many lines there was no room for
//	torn        ? of result torn: the SHA-256 of the half line before this one
//
// Those marked ? are there when there is something to say. No token, key,
// header, query or body is written; what clients choose is cut to a length.
//
// A change is written, and synced to the disk, before it is made: no line, no
// change. Where that took too long, or failed at the end, the change is not made,
// and another line says failed. Requests wait for nobody: their lines go through
// a bounded queue to the one goroutine that has the file; what finds no room
// there is counted, and the next line that is written says how many are missing.
package audit

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"sidecar/internal/exchange"
)

var (
	_ exchange.Observer      = (*Audit)(nil)
	_ exchange.EventObserver = (*Audit)(nil)
)

// Audit is the one audit file of the process. It is safe for concurrent use.
// A nil *Audit is one that is switched off: nothing is written, and every
// change is agreed to.
type Audit struct {
	exchange.NoAttempts

	path   string
	policy atomic.Pointer[string] // the hash of the file that holds
	log    *slog.Logger

	queue    chan entry    // requests: whoever finds no room goes on
	changes  chan *waiting // each waits until its line is on the disk
	reopened chan struct{} // one signal is as good as many
	closing  chan struct{} // closed by Close
	closed   chan struct{} // closed by the writer
	closer   sync.Once     // guards closing
	dropped  atomic.Uint64 // all lines that were lost
	untold   atomic.Uint64 // those of them that no line tells of yet
	trouble  atomic.Pointer[error]

	file *file // the writer's alone
}

// waiting is a line that somebody waits for.
type waiting struct {
	entry entry
	ended atomic.Bool // by whoever is first: the writer, or the one who waits no longer
	done  chan error  // has room for one
}

// patience is how long a change waits for its line to be on the disk.
const patience = 5 * time.Second

// New opens the file that c names and goes on with the chain that is in it. It
// returns nil where c is nil. The error says why the file cannot be used; one
// that is full can. Whoever calls New must call Close.
func New(c *Config, log *slog.Logger) (*Audit, error) {
	if c == nil {
		return nil, nil
	}
	f, err := openFile(c.File)
	if err != nil {
		return nil, err
	}
	return start(c.File, f, c.Queue, log), nil
}

func start(path string, f *file, queue int, log *slog.Logger) *Audit {
	a := &Audit{
		path: path, log: log, file: f,
		queue: make(chan entry, queue), changes: make(chan *waiting),
		reopened: make(chan struct{}, 1), closing: make(chan struct{}), closed: make(chan struct{}),
	}
	log.Info("audit begins", "file", path, "lines", f.seq, "hash", f.prev)
	go a.run()
	return a
}

// Apply says that the policy file with this hash holds from now on.
func (a *Audit) Apply(hash string) {
	if a != nil {
		a.policy.Store(&hash)
	}
}

func (a *Audit) holds() string {
	if hash := a.policy.Load(); hash != nil {
		return *hash
	}
	return ""
}

// Event writes e. A change that somebody asks for has its line on the disk when
// Event returns; its error, an exchange.ErrUnheard, says that it must not be
// made. Of what has happened already the line is left to the writer: a fault
// that ended by itself, the first policy, a reload that failed, a credential
// that admin refused. To that it never objects.
func (a *Audit) Event(e exchange.Event) error {
	switch {
	case a == nil:
	case isChange(e):
		return a.commit(ofEvent(e, a.holds()))
	case isNews(e):
		a.enqueue(ofEvent(e, a.holds()))
	}
	return nil
}

// commit returns when e is on the disk, or will never be there unless a line
// behind it takes it back.
func (a *Audit) commit(e entry) error {
	c := &waiting{entry: e, done: make(chan error, 1)}
	late := time.NewTimer(patience)
	defer late.Stop()
	select {
	case a.changes <- c:
	case <-a.closed:
		return fmt.Errorf("%w: the audit file is closed", exchange.ErrUnheard)
	case <-late.C:
		return fmt.Errorf("%w: the audit file has taken nothing for %v", exchange.ErrUnheard, patience)
	}
	var err error
	select {
	case err = <-c.done:
	case <-late.C:
		if c.ended.CompareAndSwap(false, true) {
			return fmt.Errorf("%w: the audit file has taken nothing for %v", exchange.ErrUnheard, patience)
		}
		err = <-c.done // just now
	}
	if err != nil {
		return fmt.Errorf("%w: %w", exchange.ErrUnheard, err)
	}
	return nil
}

// Moments implements exchange.Selective.
func (*Audit) Moments() exchange.Moments { return exchange.AtEnd }

// Begin does nothing: a request is told when it has ended.
func (a *Audit) Begin(ctx context.Context, _ *exchange.Record) context.Context { return ctx }

// End tells of a request whose credential or authorization was refused.
func (a *Audit) End(_ context.Context, r *exchange.Record) {
	if !r.Notable() {
		return
	}
	for _, d := range r.Notes() {
		if refuses(d) {
			a.enqueue(ofRequest(r, d))
		}
	}
}

// enqueue leaves e to the writer, and waits for nobody.
func (a *Audit) enqueue(e entry) {
	select {
	case <-a.closed:
		a.lose(1) // nobody would take it out any more
		return
	default:
	}
	select {
	case a.queue <- e:
	default:
		a.lose(1)
	}
}

func (a *Audit) lose(n uint64) {
	a.dropped.Add(n)
	a.untold.Add(n)
}

// Dropped returns how many lines were lost so far.
func (a *Audit) Dropped() uint64 {
	if a == nil {
		return 0
	}
	return a.dropped.Load()
}

// Doubts says in words why lines cannot be written; nothing when they can.
func (a *Audit) Doubts() []string {
	if a == nil {
		return nil
	}
	if err := a.trouble.Load(); err != nil {
		return []string{"the audit file cannot be written: " + (*err).Error()}
	}
	return nil
}

// Reopen makes the writer open the file by its name again, since that may be
// another one now. The chain goes on there. Where it cannot be opened, or
// holds something else, the old one is kept, and the log says so.
func (a *Audit) Reopen() {
	if a == nil {
		return
	}
	select {
	case a.reopened <- struct{}{}:
	default:
	}
}

// Close writes what is in the queue and closes the file. It gives up when ctx
// ends.
func (a *Audit) Close(ctx context.Context) error {
	if a == nil {
		return nil
	}
	a.closer.Do(func() { close(a.closing) })
	select {
	case <-a.closed:
	case <-ctx.Done():
		return errors.New("the audit file takes nothing")
	}
	if n := a.untold.Load(); n > 0 {
		return fmt.Errorf("%d lines were lost at the end", n)
	}
	return nil
}

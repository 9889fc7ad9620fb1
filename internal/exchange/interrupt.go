package exchange

import "context"

// An Interrupter is a context that ends one wait when it ends, as
// context.AfterFunc does, and allocates nothing for it. An exchange's own is
// one; a context derived from that is none.
type Interrupter interface {
	context.Context
	// Interrupt has f called when the context ends: at once, on the caller's
	// goroutine, if it has ended already. f must not wait for anything, nor call
	// the context. When the client leaves, f may be called some milliseconds later
	// than that is known. It reports false, and will not call f, if another wait
	// is to be ended just now.
	Interrupt(f func()) bool
	// Rest ends that, and is called once after each Interrupt that was true. It
	// reports whether f was not called; it will not be after Rest has returned.
	Rest() bool
}

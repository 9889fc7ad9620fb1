//go:build !unix

package upstream

type question struct{}

// ask sends nothing here: a connection that is dead fails the call.
func (w *wire) ask([]byte, bool) (sent int, quiet bool) { return 0, true }

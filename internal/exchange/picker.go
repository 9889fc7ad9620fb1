package exchange

import "context"

// Picker has a word in which of its endpoints an upstream calls, such as a
// circuit breaker for each of them. It is of one attempt, and is asked by one
// goroutine.
type Picker interface {
	// Allows reports whether endpoint, a host:port, may be called now.
	Allows(endpoint string) bool
	// Pick says that endpoint is the one to be called, and reports whether that
	// stands: another call may have taken its last place since Allows.
	Pick(endpoint string) bool
	// None is the end of a call to which no endpoint is allowed.
	None() error
}

type pickerKey struct{}

// WithPicker returns a context under which an upstream asks p.
func WithPicker(ctx context.Context, p Picker) context.Context {
	return context.WithValue(ctx, pickerKey{}, p)
}

// PickerOf returns who has a word in the choice of an endpoint; nil: nobody.
func PickerOf(ctx context.Context) Picker {
	if _, ok := ctx.(Interrupter); ok { // the exchange's own, and a picker is put into one below that
		return nil
	}
	p, _ := ctx.Value(pickerKey{}).(Picker)
	return p
}

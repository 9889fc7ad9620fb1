package exchange

import "context"

type recordKey struct{}

// With returns a context that carries r.
func With(ctx context.Context, r *Record) context.Context {
	return context.WithValue(ctx, recordKey{}, r)
}

// Carrier is a context that carries its Record, and its exchange's first
// attempt, without a value between.
type Carrier struct {
	context.Context
	Record Record
	// Attempt is what AttemptOf returns where no other was put into the context;
	// nil: none was made.
	Attempt *Attempt
	// Teller has the header of a request that has none; nil: each has its own.
	Teller Teller
}

// Value returns what c carries, or the context that it is made of.
func (c *Carrier) Value(key any) any {
	if v := c.Carried(key); v != nil {
		return v
	}
	return c.Context.Value(key)
}

// Carried returns what c carries itself under key; nil: nothing.
func (c *Carrier) Carried(key any) any {
	switch key {
	case recordKey{}:
		return &c.Record
	case attemptKey{}:
		if c.Attempt != nil {
			return c.Attempt
		}
	case tellerKey{}:
		if c.Teller != nil {
			return c.Teller
		}
	}
	return nil
}

// Recorded returns the record of c.
func (c *Carrier) Recorded() *Record { return &c.Record }

// recorded is a context that knows its record without a search; nil: it has to
// be searched for.
type recorded interface{ Recorded() *Record }

// From returns the record that ctx carries, or a throwaway one, so that any
// room can be tested with a bare request.
func From(ctx context.Context) *Record {
	if c, ok := ctx.(recorded); ok {
		if r := c.Recorded(); r != nil {
			return r
		}
	}
	if r, ok := ctx.Value(recordKey{}).(*Record); ok {
		return r
	}
	return &Record{Route: NoRouteName}
}

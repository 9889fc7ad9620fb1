package retry

import "sync"

const (
	// atOnce is how much room a body gets for what its length says. More it has
	// to send first, or whoever announces much and sends little would cost much.
	atOnce = 8 << 10

	// roomy is how large a room may get and still be lent again.
	roomy = 64 << 10
)

// room is what a body is kept in. Who lends it is the only one that has it: a
// replay never gives a part of it away, since a transport may go on reading
// when the room is another exchange's.
type room struct{ b []byte }

// rooms lend room. A nil *rooms makes it anew.
type rooms struct{ pool sync.Pool }

// lend returns an empty room for at least n bytes.
func (rs *rooms) lend(n int64) *room {
	if rs != nil {
		if r, ok := rs.pool.Get().(*room); ok && int64(cap(r.b)) >= n {
			return r
		}
	}
	return &room{make([]byte, 0, n)}
}

// giveBack takes r back, which has become b. A nil r is none.
func (rs *rooms) giveBack(r *room, b []byte) {
	if rs == nil || r == nil || cap(b) > roomy {
		return
	}
	r.b = b[:0]
	rs.pool.Put(r)
}

package exchange

import "time"

// Note adds a decision.
func (r *Record) Note(d Decision) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.note(d)
}

func (r *Record) note(d Decision) {
	if r.sealed {
		return
	}
	if r.TraceID != "" {
		d.At = time.Now()
	}
	r.notable = r.notable || d.Notable()
	r.made = true
	r.add(&d)
}

func (r *Record) add(d *Decision) {
	if r.notes == nil {
		r.notes = r.usual.notes[:0]
	}
	r.notes = append(r.notes, d)
}

// Pass is Note of a plain pass that is the same for many exchanges: nobody
// changes it any more. It copies nothing.
func (r *Record) Pass(d *Decision) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case r.TraceID != "" || d.Notable():
		r.note(*d)
	case !r.sealed:
		r.add(d)
	}
}

// Decisions returns what was noted, in order.
func (r *Record) Decisions() []Decision {
	notes := r.Notes()
	if len(notes) == 0 {
		return nil
	}
	all := make([]Decision, len(notes))
	for i, d := range notes {
		all[i] = *d
	}
	return all
}

// Notes is Decisions without a copy: the caller must not change what it
// returns, nor keep it after the end.
func (r *Record) Notes() []*Decision {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.notes[:len(r.notes):len(r.notes)]
}

// Notable reports whether one of the decisions is more than a plain pass.
func (r *Record) Notable() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.notable
}

// Passes are the decisions on an exchange that all policies let pass, in order. It
// can be compared: what is the same for many exchanges is told by one pointer.
type Passes [usualDecisions]*Decision

// Passes returns the decisions, if all that there are came through Pass, and have
// room.
func (r *Record) Passes() (Passes, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.made || len(r.notes) > usualDecisions {
		return Passes{}, false
	}
	return r.usual.notes, true
}

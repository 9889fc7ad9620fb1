package upstream

import (
	"time"

	"sidecar/internal/exchange"
)

func (u *Upstream) event(e *endpoint, from, to, detail string) exchange.Event {
	return exchange.Event{Kind: exchange.ByUpstream, Name: u.name + "/" + e.label, From: from, To: to, Detail: detail, Time: time.Now()}
}

// noteState keeps, for tellNews, that e is not as it was. u.mu is held.
func (u *Upstream) noteState(e *endpoint, from, detail string, bad bool) {
	if e.drained {
		return // it makes no difference to calls
	}
	to := e.state(time.Now())
	if from == to {
		return
	}
	ev := u.event(e, from, to, detail)
	ev.Bad = bad
	u.note(ev)
}

// noteAlarm keeps, for tellNews, that no endpoint works, or that one does again.
func (u *Upstream) noteAlarm(before, v *view) {
	if before == nil || before.panic == v.panic {
		return
	}
	e := exchange.Event{Name: u.name, From: "panic", To: "normal", Detail: "an endpoint works again"}
	if v.panic {
		e = exchange.Event{Name: u.name, From: "normal", To: "panic", Detail: "no endpoint works: all are called", Bad: true}
	}
	u.note(e)
}

// note keeps e for tellNews. u.mu is held.
func (u *Upstream) note(e exchange.Event) {
	e.Kind, e.Time = exchange.ByUpstream, time.Now()
	u.news = append(u.news, e)
}

// tellNews tells what there is to tell. Whoever finds another telling leaves it
// to them, and waits for nothing.
func (u *Upstream) tellNews() {
	for u.hasNews() && u.telling.TryLock() {
		u.tellLocked()
	}
}

func (u *Upstream) hasNews() bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	return len(u.news) > 0
}

func (u *Upstream) tellLocked() {
	defer u.telling.Unlock()
	u.mu.Lock()
	defer u.mu.Unlock()
	u.tellAll()
}

// tellAll tells the news, with u.mu let go for each. u.telling is held.
func (u *Upstream) tellAll() {
	for len(u.news) > 0 {
		e := u.news[0]
		u.news = u.news[1:]
		u.mu.Unlock()
		_ = u.tell(e) // it has happened already
		u.mu.Lock()
	}
}

package audit

import (
	"errors"
	"io/fs"
	"time"
)

// again is how long the writer waits before it tries a line again.
const again = time.Second

// run is the writer: it alone has the file. A line of a request that cannot be
// written is kept and tried again, while the queue behind it fills up.
func (a *Audit) run() {
	defer close(a.closed)
	defer a.file.close()
	_ = a.write(ofFile("begun", a.holds()), false) // became has told
	var kept *entry
	for {
		queue := a.queue
		if kept != nil {
			queue = nil
		}
		var retry <-chan time.Time
		if a.trouble.Load() != nil {
			retry = time.After(again)
		}
		select {
		case c := <-a.changes:
			if len(a.reopened) > 0 { // who asked for both asked for this first
				<-a.reopened
				a.reopen()
			}
			c.done <- a.write(c.entry, true)
		case e := <-queue:
			if a.write(e, false) != nil {
				kept = &e
			}
		case <-retry:
			kept = a.tryAgain(kept)
		case <-a.reopened:
			a.reopen()
		case <-a.closing:
			a.finish(kept)
			return
		}
	}
}

// tryAgain writes kept and returns what is still to be written. Where there is
// nothing, a line of our own finds out whether the file is well.
func (a *Audit) tryAgain(kept *entry) *entry {
	e := ofFile("resumed", a.holds())
	if kept != nil {
		e = *kept
	}
	if a.write(e, false) != nil {
		return kept
	}
	return nil
}

// finish writes what is left, as long as that works.
func (a *Audit) finish(kept *entry) {
	works := kept == nil || a.write(*kept, false) == nil
	if !works {
		a.lose(1)
	}
	for len(a.queue) > 0 {
		e := <-a.queue
		if works = works && a.write(e, false) == nil; !works {
			a.lose(1)
		}
	}
	if works && a.write(ofFile("ended", a.holds()), true) == nil {
		a.log.Info("audit ends", "file", a.path, "lines", a.file.seq, "hash", a.file.prev)
	}
}

// write appends e to the chain, behind a word on what was lost before it.
func (a *Audit) write(e entry, sync bool) error {
	err := a.tellLost()
	if err == nil {
		err = a.file.append(e)
	}
	if err == nil && sync {
		err = a.file.sync()
	}
	a.became(err)
	return err
}

// tellLost writes how many lines were lost, if any were. They are lost while
// the queue is full, so that there always is a line behind which to tell it.
func (a *Audit) tellLost() error {
	n := a.untold.Load()
	if n == 0 {
		return nil
	}
	e := ofFile("lost", a.holds())
	e.Lost = n
	err := a.file.append(e)
	if err == nil {
		a.untold.Add(-n)
	}
	return err
}

// became says once when the file stops taking lines, and when it does again.
func (a *Audit) became(err error) {
	was := a.trouble.Load()
	if err == nil {
		if was != nil {
			a.trouble.Store(nil)
			a.log.Info("the audit file is written again", "file", a.path, "lost", a.Dropped())
		}
		return
	}
	var pathErr *fs.PathError
	if errors.As(err, &pathErr) {
		err = pathErr.Err // the path is known
	}
	a.trouble.Store(&err)
	if was == nil {
		a.log.Error("the audit file cannot be written: no change is made until it can", "file", a.path, "error", err.Error())
	}
}

// reopen goes on in the file that the path names now.
func (a *Audit) reopen() {
	next, err := a.file.reopen(a.path)
	if err != nil {
		a.log.Error("audit file not reopened: the one before is written on", "file", a.path, "error", err.Error())
		return
	}
	if next == nil {
		return // it is the same
	}
	a.file.close()
	a.file = next
	a.log.Info("audit file reopened", "file", a.path)
	_ = a.write(ofFile("reopened", a.holds()), false) // became has told
}

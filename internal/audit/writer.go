package audit

import (
	"errors"
	"fmt"
	"io/fs"
	"time"

	"sidecar/internal/exchange"
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
			if failed := a.answer(c); failed != nil && a.write(*failed, false) != nil {
				a.lose(1)
			}
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

// answer writes the line of c and tells who waits for it. It returns a line that
// takes it back, if it stands in the file and the change is not made after all.
func (a *Audit) answer(c *waiting) (failed *entry) {
	err := a.write(c.entry, false)
	written := err == nil
	if written {
		err = a.file.sync()
		a.became(err)
	}
	if c.ended.CompareAndSwap(false, true) {
		c.done <- err
	} else if err == nil {
		err = errors.New("nobody waited any longer for it to be written")
	}
	if !written || err == nil {
		return nil
	}
	e := c.entry
	e.Time, e.Result, e.Detail = time.Now(), "failed", exchange.Clip("not made: "+err.Error(), long)
	return &e
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
	err := a.restore()
	if err == nil {
		err = a.tellLost()
	}
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

// restore goes on in a new file where somebody has deleted the one that is
// written: what is written there is lost.
func (a *Audit) restore() error {
	if !a.file.deleted() {
		return nil
	}
	next, err := a.file.reopen(a.path)
	if err != nil {
		return fmt.Errorf("it was deleted: %w", err)
	}
	a.log.Warn("the audit file was deleted: a new one is begun", "file", a.path)
	a.goOn(next)
	return nil
}

// reopen goes on in the file that the path names now.
func (a *Audit) reopen() {
	next, err := a.file.reopen(a.path)
	if err != nil {
		a.log.Error("audit file not reopened: the one before is written on", "file", a.path, "error", err.Error())
		return
	}
	if next != nil { // it is not the same
		a.goOn(next)
	}
}

func (a *Audit) goOn(next *file) {
	a.file.close()
	a.file = next
	a.log.Info("audit file reopened", "file", a.path)
	_ = a.write(ofFile("reopened", a.holds()), false) // became has told
}

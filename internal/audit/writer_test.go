package audit

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"sidecar/internal/exchange"
)

// disk stands before the file of an audit that runs, and may be full.
type disk struct {
	full  atomic.Bool
	taken int           // bytes of each line, while it is full
	hang  chan struct{} // each line waits for it, while it is full; nil: none does
}

// startOn returns an audit that writes through d.
func startOn(t *testing.T, d *disk, queue int, log *slog.Logger) (*Audit, string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "audit.jsonl")
	f, err := openFile(path)
	if err != nil {
		t.Fatal(err)
	}
	real := f.write
	f.write = func(b []byte) (int, error) {
		if !d.full.Load() {
			return real(b)
		}
		if d.hang != nil {
			<-d.hang
		}
		n, _ := real(b[:min(d.taken, len(b)-2)])
		return n, errFull
	}
	return start(path, f, queue, log), path
}

// change is one that somebody asks for.
func change() exchange.Event {
	return exchange.Event{Kind: exchange.Fault, Name: "chaos", Who: exchange.Who{Name: "ann"}}
}

// While the disk is full no change is made, requests go on, and what finds no
// room is counted. Then all is as before, and the chain says what is missing.
func TestFullDisk(t *testing.T) {
	for taken := range 4 {
		t.Run(fmt.Sprint(taken*40, " bytes of a line still fit"), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var log strings.Builder
				d := &disk{taken: taken * 40}
				a, path := startOn(t, d, 3, slog.New(slog.NewTextHandler(&log, nil)))
				synctest.Wait()
				d.full.Store(true)
				if err := a.Event(change()); !errors.Is(err, exchange.ErrUnheard) || !errors.Is(err, errFull) {
					t.Errorf("a change: %v, want it refused for the full disk", err)
				}
				for i := range 7 {
					refuse(a, fmt.Sprint("r-", i))
					synctest.Wait()
				}
				if got := a.Dropped(); got != 3 { // one is tried, three wait
					t.Errorf("%d lines dropped, want 3", got)
				}
				if want := []string{"the audit file cannot be written: no space left"}; !slices.Equal(a.Doubts(), want) {
					t.Errorf("doubts %q, want %q", a.Doubts(), want)
				}
				time.Sleep(10 * time.Second)
				d.full.Store(false)
				time.Sleep(again)
				synctest.Wait()
				if a.Doubts() != nil {
					t.Errorf("doubts %q, want none", a.Doubts())
				}
				if err := a.Event(change()); err != nil {
					t.Errorf("a change after it: %v", err)
				}
				end(t, a)
				var told []string
				for _, l := range lines(t, path) {
					for _, key := range []string{"lost", "requestId", "name"} {
						if l[key] != nil {
							told = append(told, fmt.Sprint(l[key]))
						}
					}
				}
				if want := []string{"3", "r-0", "r-1", "r-2", "r-3", "chaos"}; !slices.Equal(told, want) {
					t.Errorf("told %q, want %q", told, want)
				}
				sound(t, path)
				for _, said := range []string{"cannot be written", "written again"} {
					if n := strings.Count(log.String(), said); n != 1 {
						t.Errorf("the log says %q %d times, want once: %s", said, n, &log)
					}
				}
			})
		})
	}
}

// A file that was full and is not asked for anything gets well by itself.
func TestFullDiskThatNobodyNeeds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &disk{}
		a, path := startOn(t, d, 3, slog.New(slog.DiscardHandler))
		synctest.Wait()
		d.full.Store(true)
		_ = a.Event(change())
		d.full.Store(false)
		time.Sleep(again)
		synctest.Wait()
		if a.Doubts() != nil {
			t.Errorf("doubts %q, want none", a.Doubts())
		}
		end(t, a)
		sound(t, path)
	})
}

// What is still waiting when the process ends on a full disk is counted too.
func TestCloseOnAFullDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &disk{}
		d.full.Store(true)
		a, _ := startOn(t, d, 5, slog.New(slog.DiscardHandler))
		for range 4 {
			refuse(a, "r")
		}
		synctest.Wait()
		if err := a.Close(t.Context()); err == nil || a.Dropped() != 4 {
			t.Errorf("Close: %v, %d dropped, want an error and 4", err, a.Dropped())
		}
		if err := a.Event(change()); !errors.Is(err, exchange.ErrUnheard) {
			t.Errorf("a change after the end: %v, want it refused", err)
		}
	})
}

// A file that neither takes a line nor refuses one holds up no change for ever.
func TestHangingFile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &disk{hang: make(chan struct{})}
		a, _ := startOn(t, d, 5, slog.New(slog.DiscardHandler))
		synctest.Wait()
		d.full.Store(true)
		began := time.Now()
		for range 2 { // the first is being written, the second waits for it
			if err := a.Event(change()); !errors.Is(err, exchange.ErrUnheard) {
				t.Errorf("a change: %v, want it refused", err)
			}
		}
		if took := time.Since(began); took != 2*patience {
			t.Errorf("two changes took %v, want %v", took, 2*patience)
		}
		d.full.Store(false)
		close(d.hang)
		synctest.Wait()
		_ = a.Close(t.Context())
	})
}

// A line that gets into the file when nobody waits for it any longer, or that
// may not be on the disk, is taken back: the change was not made.
func TestALineOfAChangeThatIsNotMadeIsTakenBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		path := filepath.Join(t.TempDir(), "audit.jsonl")
		f, err := openFile(path)
		if err != nil {
			t.Fatal(err)
		}
		real := f.write
		a := start(path, f, 3, slog.New(slog.DiscardHandler))
		synctest.Wait()
		f.write = func(b []byte) (int, error) { <-release; return real(b) }
		if err := a.Event(change()); !errors.Is(err, exchange.ErrUnheard) {
			t.Errorf("a change: %v, want it refused", err)
		}
		close(release)
		synctest.Wait()
		if err := a.Event(change()); err != nil {
			t.Errorf("a change after it: %v", err)
		}
		end(t, a)
		var told []string
		for _, l := range lines(t, path) {
			told = append(told, fmt.Sprint(l["result"]))
		}
		if want := []string{"made", "failed", "made"}; !slices.Equal(told, want) {
			t.Errorf("results %q, want %q", told, want)
		}
		sound(t, path)
	})
}

// What is written to a file that somebody has deleted would be lost silently.
func TestADeletedFileIsBegunAnew(t *testing.T) {
	a, path := begin(t, 10)
	if err := errors.Join(a.Event(change()), os.Remove(path), a.Event(change())); err != nil {
		t.Fatal(err)
	}
	folder := filepath.Dir(path)
	if err := errors.Join(os.Remove(path), os.Rename(folder, folder+".away")); err != nil {
		t.Fatal(err)
	}
	if err := a.Event(change()); !errors.Is(err, exchange.ErrUnheard) || a.Doubts() == nil {
		t.Errorf("a change without a file: %v, doubts %q, want it refused, and told", err, a.Doubts())
	}
	if err := os.Rename(folder+".away", folder); err != nil {
		t.Fatal(err)
	}
	if err := a.Event(change()); err != nil {
		t.Errorf("a change after that: %v", err)
	}
	end(t, a)
	if c := sound(t, path); c.First < 5 {
		t.Errorf("the chain begins with %d, want it to go on", c.First)
	}
}

// logrotate moves the file, and tells us.
func TestReopen(t *testing.T) {
	a, path := begin(t, 10)
	reopen := func() {
		a.Reopen()
		for len(a.reopened) > 0 {
			runtime.Gosched()
		}
		if err := a.Event(change()); err != nil { // behind it
			t.Fatal(err)
		}
	}
	reopen() // the same file
	if err := os.Rename(path, path+".1"); err != nil {
		t.Fatal(err)
	}
	_ = a.Event(change()) // goes where the file is
	reopen()
	// A file of somebody else's is left alone.
	if err := os.Rename(path, path+".2"); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte("hello\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	reopen()
	end(t, a)
	if c := sound(t, path+".1", path+".2"); c.First != 1 || c.Lines != 7 {
		t.Errorf("from %d, %d lines, want from 1, and 7", c.First, c.Lines)
	}
	if got := string(read(t, path)); got != "hello\n" {
		t.Errorf("the foreign file has %q", got)
	}
	if c := sound(t, path+".2"); c.First != 4 {
		t.Errorf("the second file begins with %d, want 4", c.First)
	}
	if _, err := verify(read(t, path+".2"), read(t, path+".1")); err == nil {
		t.Error("the files in another order are sound")
	}
}

// A chain of another's is not gone on with.
func TestReopenFindsAnotherChain(t *testing.T) {
	a, path := begin(t, 10)
	end(t, a)
	b, other := begin(t, 10)
	refuse(b, "r-1")
	end(t, b)
	f, err := openFile(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.close()
	if next, err := f.reopen(other); err == nil {
		next.close()
		t.Error("the other chain is gone on with")
	}
}

// One process at a time.
func TestTheFileIsLocked(t *testing.T) {
	a, path := begin(t, 10)
	if _, err := openFile(path); err == nil || !strings.Contains(err.Error(), "is written by another process") {
		t.Errorf("a second writer: %v, want it refused", err)
	}
	end(t, a)
	b := beginAt(t, path, 10) // goes on
	end(t, b)
	if c := sound(t, path); c.Lines != 4 {
		t.Errorf("%d lines, want 4", c.Lines)
	}
}

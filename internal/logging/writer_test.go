package logging

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"sidecar/internal/exchange"
)

// reader is what reads the log: it takes nothing while it is stuck, and
// breaks off as told.
type reader struct {
	mu     sync.Mutex
	took   []string // one for each write
	stuck  chan struct{}
	breaks []int // takes so many bytes of a write, and no more; -1: all
}

func (r *reader) Write(p []byte) (int, error) {
	r.mu.Lock()
	stuck := r.stuck
	r.mu.Unlock()
	if stuck != nil {
		<-stuck
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	n := -1
	if len(r.breaks) > 0 {
		n, r.breaks = r.breaks[0], r.breaks[1:]
	}
	if n >= 0 && n < len(p) {
		r.took = append(r.took, string(p[:n]))
		return n, errors.New("no space left on device")
	}
	r.took = append(r.took, string(p))
	return len(p), nil
}

// sticks has r take nothing from now on; it goes on when the result is called.
func (r *reader) sticks() (goOn func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.stuck = make(chan struct{})
	return func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		close(r.stuck)
		r.stuck = nil
	}
}

func (r *reader) writes() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.took
}

func (r *reader) text() string { return strings.Join(r.writes(), "") }

// begun returns a log that writes to r in the background.
func begun(t *testing.T, r *reader) *Log {
	log := New(r, defaults())
	log.Start()
	t.Cleanup(func() { log.Close(context.Background()) })
	return log
}

func TestLinesOfRequestsWaitForEachOtherForAMoment(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &reader{}
		log := begun(t, r)
		log.End(t.Context(), record())
		time.Sleep(delay - time.Nanosecond)
		log.End(t.Context(), record())
		synctest.Wait()
		if got := len(r.writes()); got != 0 {
			t.Errorf("%d writes before the delay is over, want none", got)
		}
		time.Sleep(time.Nanosecond)
		synctest.Wait()
		if got := r.writes(); len(got) != 1 || strings.Count(got[0], "\n") != 2 {
			t.Errorf("writes %q, want one of 2 lines", got)
		}
	})
}

func TestMuchIsWrittenBeforeTheDelayIsOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &reader{}
		log := begun(t, r)
		size := len(line(t, defaults(), record()))
		n := (batch + size - 1) / size
		for range n {
			log.End(t.Context(), record())
		}
		synctest.Wait()
		if got := strings.Count(r.text(), "\n"); got != n {
			t.Errorf("%d lines written at once, want all %d", got, n)
		}
	})
}

func TestOtherLinesAreWrittenAtOnceAndInTheirPlace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &reader{}
		log := begun(t, r)
		log.End(t.Context(), record())
		synctest.Wait() // its delay has begun
		log.Logger().Info("first")
		_ = log.Event(exchange.Event{Kind: exchange.JWKS})
		synctest.Wait()
		log.End(t.Context(), record())
		log.ErrorLog().Print("last")
		synctest.Wait()
		if diff := cmp.Diff([]string{"request", "first", "jwks", "request", "last"}, messages(r.text())); diff != "" {
			t.Errorf("lines (-want +got):\n%s", diff)
		}
	})
}

// messages returns the msg of each line.
func messages(text string) (msgs []string) {
	for l := range strings.Lines(text) {
		_, after, _ := strings.Cut(l, `"msg":"`)
		msg, _, _ := strings.Cut(after, `"`)
		msgs = append(msgs, msg)
	}
	return msgs
}

func TestNobodyWaitsForAReaderThatIsStuck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &reader{}
		log := begun(t, r)
		goOn := r.sticks()
		log.Logger().Info("the one that sticks")
		synctest.Wait()

		size := len(line(t, defaults(), record()))
		const lost = 7
		for range queue/size + lost {
			log.End(t.Context(), record())
		}
		log.Logger().Info("there is room for it all the same")
		if got := log.Dropped(); got != lost {
			t.Errorf("%d lines lost, want %d", got, lost)
		}

		goOn()
		time.Sleep(2 * delay)
		synctest.Wait()
		got := messages(r.text())
		if n := len(got); n != 1+queue/size+2 || got[n-2] != "there is room for it all the same" || got[n-1] != "log lines lost" {
			t.Fatalf("%d lines, the last of them %q, want %d and how many are missing", n, got[n-2:], 1+queue/size+2)
		}
		if got := r.text(); !strings.HasSuffix(got, fmt.Sprintf(`"level":"WARN","msg":"log lines lost","lines":%d}`+"\n", lost)) {
			t.Errorf("the last line is %s, want one that tells of %d", got[len(got)-200:], lost)
		}
	})
}

func TestALossIsToldOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &reader{breaks: []int{0, 0}}
		log := begun(t, r)
		for range 3 {
			log.Logger().Info("hello")
			time.Sleep(time.Second)
		}
		log.Logger().Info("bye")
		synctest.Wait()
		if diff := cmp.Diff([]string{"hello", "log lines lost", "bye"}, messages(r.text())); diff != "" {
			t.Errorf("lines (-want +got):\n%s", diff)
		}
		if !strings.Contains(r.text(), `"lines":2}`) || log.Dropped() != 2 {
			t.Errorf("%s: want 2 lines lost, got %d", r.text(), log.Dropped())
		}
	})
}

func TestAtLevelErrorALossIsOnlyCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &reader{breaks: []int{0}}
		c := defaults()
		c.Level = "error"
		log := begun(t, r)
		log.Apply(c)
		for range 3 {
			log.Logger().Error("alas")
			synctest.Wait()
		}
		if diff := cmp.Diff([]string{"alas", "alas"}, messages(r.text())); diff != "" || log.Dropped() != 1 {
			t.Errorf("%d lost, lines (-want +got):\n%s", log.Dropped(), diff)
		}
	})
}

func TestALineThatWasCutDoesNotSpoilTheNext(t *testing.T) {
	r := &reader{breaks: []int{3, 0, -1, -1, -1}}
	w := newWriter(r)
	_, err := w.Write([]byte("first\n"))
	if err == nil {
		t.Error("the first line is cut, and no error tells")
	}
	_, _ = w.Write([]byte("second\n")) // what would end the half line is not taken either
	_, _ = w.Write([]byte("third\n"))
	_, _ = w.Write([]byte("fourth\n"))
	if got, want := r.text(), "fir\nthird\nfourth\n"; got != want || w.dropped.Load() != 2 {
		t.Errorf("%q and %d lost, want %q and 2", got, w.dropped.Load(), want)
	}
}

func TestCloseWritesWhatIsLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &reader{}
		log := begun(t, r)
		log.Logger().Info("draining")
		synctest.Wait()
		log.End(t.Context(), record())
		synctest.Wait()
		began := time.Now()
		log.Close(context.Background())
		if took := time.Since(began); took != 0 {
			t.Errorf("Close took %v, want it not to wait for more", took)
		}
		if diff := cmp.Diff([]string{"draining", "request"}, messages(r.text())); diff != "" {
			t.Errorf("once it is closed (-want +got):\n%s", diff)
		}
		log.End(t.Context(), record())
		log.Logger().Info("late")
		if diff := cmp.Diff([]string{"draining", "request", "request", "late"}, messages(r.text())); diff != "" {
			t.Errorf("what comes after that is written at once (-want +got):\n%s", diff)
		}
	})
}

func TestCloseTellsOfALoss(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &reader{}
		log := begun(t, r)
		goOn := r.sticks()
		log.Logger().Info("the one that sticks")
		synctest.Wait()
		for log.Dropped() == 0 {
			log.End(t.Context(), record())
		}
		go log.Close(context.Background())
		synctest.Wait()
		goOn()
		synctest.Wait()
		if got := messages(r.text()); got[len(got)-1] != "log lines lost" {
			t.Errorf("the last line is %q, want it to tell of a loss", got[len(got)-1])
		}
	})
}

func TestCloseGivesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &reader{}
		log := begun(t, r)
		goOn := r.sticks()
		log.Logger().Info("the one that sticks")
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		began := time.Now()
		log.Close(ctx)
		if took := time.Since(began); took != time.Second {
			t.Errorf("Close took %v, want 1s", took)
		}
		log.End(t.Context(), record()) // and still nobody waits
		goOn()
	})
}

// Another process may write to the same pipe.
func TestAPipeIsWrittenInPiecesThatItTakesWhole(t *testing.T) {
	out, in, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	defer in.Close()
	file, err := os.Create(t.TempDir() + "/log")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	for name, tt := range map[string]struct {
		to   io.Writer
		want int
	}{"pipe": {in, pipeSize}, "file": {file, 0}, "buffer": {&bytes.Buffer{}, 0}} {
		if got := piece(tt.to); got != tt.want {
			t.Errorf("%s: pieces of %d, want %d", name, got, tt.want)
		}
	}

	r := &reader{}
	w := newWriter(r)
	w.piece = 10
	_, _ = w.Write([]byte("abc\ndef\nghi\n" + strings.Repeat("x", 12) + "\nabcdefghi\njkl\n"))
	want := []string{"abc\ndef\n", "ghi\n", strings.Repeat("x", 12) + "\n", "abcdefghi\n", "jkl\n"}
	if diff := cmp.Diff(want, r.writes()); diff != "" {
		t.Errorf("pieces (-want +got):\n%s", diff)
	}
}

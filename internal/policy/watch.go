package policy

import (
	"context"
	"crypto/sha256"
	"errors"
	"maps"
	"os"
	"sync"
	"time"
)

const (
	// settle is how far apart the two looks are that must agree before a
	// change is believed: what is still being written is not a policy yet.
	settle = 100 * time.Millisecond

	// pollEvery is how often files are looked at when no event is heard:
	// network file systems and some mounts send none.
	pollEvery = 30 * time.Second
)

// Watcher hears of changes to the files that a policy was read from: the
// policy file and those that it names. It compares their content with what
// the last load found there, whoever asked for that load and however it
// ended, so it speaks only when another load may end differently. It is safe
// for concurrent use.
type Watcher struct {
	read   func(path string) ([]byte, error)
	notify func() (*notifier, error)
	loaded chan struct{} // a load has ended, and may have read other files

	mu   sync.Mutex // guards seen; held while a load reads
	seen readings
}

// readings are what was found, by the file.
type readings map[place]reading

// place is where a file is, and the folder that no link there may lead out of,
// if there is one.
type place struct{ path, folder string }

// readAt reads the file at p.
func (w *Watcher) readAt(p place) ([]byte, error) {
	if p.folder != "" {
		return readInside(w.read, p.folder, p.path)
	}
	return w.read(p.path)
}

// reading stands for the content of a file, or for why it cannot be read.
type reading struct {
	sum     [sha256.Size]byte
	problem string
}

// NewWatcher returns a Watcher that knows of no file yet.
func NewWatcher() *Watcher {
	return &Watcher{read: readFile, notify: listen, loaded: make(chan struct{}, 1)}
}

// Load calls load, which is to read a policy with the options that it is
// given. What it reads is watched from then on, and nothing else.
func (w *Watcher) Load(load func(Options) (*File, error)) (*File, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	seen := readings{}
	read := func(p place) ([]byte, error) {
		data, err := w.readAt(p)
		if lasting(p.path) || errors.Is(err, errOutside) {
			seen[p] = readingOf(data, err)
		}
		return data, err
	}
	f, err := load(Options{
		ReadFile:   func(path string) ([]byte, error) { return read(place{path: path}) },
		ReadInside: func(folder, path string) ([]byte, error) { return read(place{path, folder}) },
	})
	w.seen = seen
	select {
	case w.loaded <- struct{}{}:
	default: // Run is to hear of it already
	}
	return f, err
}

// Run calls changed whenever files differ from what the last load found, until
// ctx ends; it returns at once if that load read no file. changed is to call
// Load: however that ends, changed is not called again before the files differ
// from what they are now. warn hears, once each, why changes are seen by the
// poll only. Both are called by Run itself.
func (w *Watcher) Run(ctx context.Context, changed func(), warn func(error)) {
	if len(w.files()) == 0 {
		return
	}
	n := w.listen(warn)
	defer n.close()
	poll := time.NewTicker(pollEvery)
	defer poll.Stop()
	var next <-chan time.Time
	var before readings // what the look before found, if it was a change
	for {
		select {
		case <-ctx.Done():
			return
		case <-next:
			next = nil
			n.follow(w.files())
			now, same := w.look()
			switch {
			case same:
				before = nil
			case maps.Equal(now, before):
				changed()
			default:
				before, next = now, time.After(settle)
			}
			continue
		case <-poll.C:
		case <-w.loaded:
		case <-n.events:
		case err := <-n.errors:
			n.failed(err)
		}
		if next == nil {
			next = time.After(settle)
		}
	}
}

// files returns the paths that the last load read.
func (w *Watcher) files() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	paths := make([]string, 0, len(w.seen))
	for p := range w.seen {
		paths = append(paths, p.path)
	}
	return paths
}

// look returns what is there now, and whether that is what the last load found.
func (w *Watcher) look() (now readings, same bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	now = readings{}
	for p := range w.seen {
		now[p] = readingOf(w.readAt(p))
	}
	return now, maps.Equal(now, w.seen)
}

func readingOf(data []byte, err error) reading {
	if err != nil {
		return reading{problem: err.Error()}
	}
	return reading{sum: sha256.Sum256(data)}
}

// lasting reports whether path can be read again: a pipe, such as a shell's
// <(command), gives its content once.
func lasting(path string) bool {
	info, err := os.Stat(path)
	return err != nil || info.Mode().IsRegular() || info.IsDir()
}

package policy

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"github.com/fsnotify/fsnotify"
)

// notifier tells that something happened in the directories of files. It
// watches directories and not the files, because a file that is replaced, by
// an editor or by the symlink that a ConfigMap swaps, takes its watch with it.
type notifier struct {
	events <-chan fsnotify.Event
	errors <-chan error

	add, remove func(dir string) error
	list        func() []string // the directories that are watched
	close       func() error

	warn func(error)
	deaf map[string]bool // the directories of which warn has heard
}

// listen returns a notifier of the file system.
func listen() (*notifier, error) {
	w, err := fsnotify.NewWatcher()
	if err != nil {
		return nil, err
	}
	return &notifier{
		events: w.Events, errors: w.Errors,
		add: w.Add, remove: w.Remove, list: w.WatchList, close: w.Close,
	}, nil
}

// listen returns the notifier, or one that never tells anything.
func (w *Watcher) listen(warn func(error)) *notifier {
	n, err := w.notify()
	if err != nil {
		warn(late("files", err))
		n = &notifier{}
		n.mute()
	}
	n.warn, n.deaf = warn, map[string]bool{}
	return n
}

// follow watches the directories of files, and no others.
func (n *notifier) follow(files []string) {
	wanted := map[string]bool{}
	for _, file := range files {
		for _, dir := range directories(file) {
			wanted[dir] = true
		}
	}
	for _, dir := range n.list() {
		if !wanted[dir] {
			_ = n.remove(dir) // it may be gone, and its watch with it
		}
	}
	for dir := range wanted {
		err := n.add(dir) // again: another directory may have come in its place
		if errors.Is(err, fs.ErrNotExist) {
			continue // gone since: the poll finds what comes in its place
		}
		if err != nil && !n.deaf[dir] {
			n.warn(late(dir, err))
		}
		n.deaf[dir] = err != nil
	}
}

// failed says that events were lost, or that no more of them will come.
func (n *notifier) failed(err error) {
	if errors.Is(err, fsnotify.ErrEventOverflow) {
		return // who hears of any event looks at every file
	}
	n.warn(late("files", err))
	_ = n.close()
	n.mute()
}

// mute leaves all to the poll.
func (n *notifier) mute() {
	n.events, n.errors = nil, nil
	n.add, n.remove = func(string) error { return nil }, func(string) error { return nil }
	n.list, n.close = func() []string { return nil }, func() error { return nil }
}

func late(what string, err error) error {
	return fmt.Errorf("watching %s: %w; a change is seen within %s", what, err, pollEvery)
}

// directories returns where a change of file shows: where it is, and where it
// is a link to.
func directories(file string) []string {
	dirs := []string{existing(filepath.Dir(file))}
	if target, err := filepath.EvalSymlinks(file); err == nil {
		dirs = append(dirs, filepath.Dir(target))
	}
	return dirs
}

// existing returns dir or, if it is not there, what is nearest above it, where
// it would appear. Links are followed: one that comes to lead elsewhere is
// another directory.
func existing(dir string) string {
	for {
		if place, err := filepath.EvalSymlinks(dir); err == nil {
			return place
		}
		above := filepath.Dir(dir)
		if above == dir {
			return dir
		}
		dir = above
	}
}

package policy

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fsnotify/fsnotify"
	"github.com/google/go-cmp/cmp"
)

// memory is a Watcher at work on files that are in memory, in a bubble. The
// policy is /x/policy; it reads each file whose path stands in it.
type memory struct {
	t       *testing.T
	watcher *Watcher
	events  chan fsnotify.Event
	errors  chan error
	add     error // what watching a directory gives

	mu       sync.Mutex // guards all below
	files    map[string]string
	denied   map[string]bool
	reloads  []time.Time
	warnings []string
}

func newMemory(t *testing.T, files map[string]string) *memory {
	m := &memory{
		t: t, watcher: NewWatcher(), files: files, denied: map[string]bool{},
		events: make(chan fsnotify.Event), errors: make(chan error),
	}
	m.watcher.read = m.read
	m.watcher.notify = func() (*notifier, error) {
		n := &notifier{}
		n.mute()
		n.events, n.errors, n.add = m.events, m.errors, func(string) error { return m.add }
		return n, nil
	}
	m.load()
	return m
}

func (m *memory) read(path string) ([]byte, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.denied[path] {
		return nil, &fs.PathError{Op: "open", Path: path, Err: fs.ErrPermission}
	}
	text, ok := m.files[path]
	if !ok {
		return nil, &fs.PathError{Op: "open", Path: path, Err: fs.ErrNotExist}
	}
	return []byte(text), nil
}

// load is a reload that somebody asks for.
func (m *memory) load() { _, _ = m.watcher.Load(namedIn("/x/policy")) }

// namedIn returns what loads a policy that is no more than words, some of
// them the paths of files to read.
func namedIn(policy string) func(Options) (*File, error) {
	return func(o Options) (*File, error) {
		data, err := o.ReadFile(policy)
		for _, word := range strings.Fields(string(data)) {
			if filepath.IsAbs(word) {
				_, cannot := o.ReadFile(word)
				err = errors.Join(err, cannot)
			}
		}
		return nil, err
	}
}

// start runs the watcher until the test ends.
func (m *memory) start() {
	ctx, stop := context.WithCancel(m.t.Context())
	m.t.Cleanup(stop)
	go m.watcher.Run(ctx, func() {
		m.mu.Lock()
		m.reloads = append(m.reloads, time.Now())
		m.mu.Unlock()
		m.load()
	}, func(err error) {
		m.mu.Lock()
		defer m.mu.Unlock()
		m.warnings = append(m.warnings, err.Error())
	})
	time.Sleep(time.Second) // past the first look
}

// write changes a file, and says so.
func (m *memory) write(path, text string) { m.change(func() { m.files[path] = text }) }
func (m *memory) remove(path string)      { m.change(func() { delete(m.files, path) }) }
func (m *memory) deny(path string, y bool) {
	m.change(func() { m.denied[path] = y })
}

func (m *memory) change(f func()) {
	m.t.Helper()
	m.silently(f)
	select {
	case m.events <- fsnotify.Event{}:
	case <-time.After(time.Minute):
		m.t.Fatal("nobody listens for events")
	}
}

// silently changes a file without an event.
func (m *memory) silently(f func()) {
	m.mu.Lock()
	defer m.mu.Unlock()
	f()
}

// want waits, and checks how many reloads there have been since the start.
func (m *memory) want(n int) {
	m.t.Helper()
	time.Sleep(time.Second)
	m.wantNow(n)
}

func (m *memory) wantNow(n int) {
	m.t.Helper()
	synctest.Wait()
	m.mu.Lock()
	defer m.mu.Unlock()
	if got := len(m.reloads); got != n {
		m.t.Errorf("%d reloads so far, want %d", got, n)
	}
}

func TestWhatIsAReload(t *testing.T) {
	tests := []struct {
		name string
		do   func(m *memory)
	}{
		{"a change of the policy", func(m *memory) {
			m.write("/x/policy", "new")
			m.want(1)
		}},
		{"no change is none", func(m *memory) {
			m.write("/x/policy", "old /y/secret")
			m.want(0)
		}},
		{"a change that settles back is none", func(m *memory) {
			m.write("/x/policy", "new")
			time.Sleep(settle + settle/2)
			m.write("/x/policy", "old /y/secret")
			m.want(0)
		}},
		{"each change is one", func(m *memory) {
			for i := range 3 {
				m.write("/x/policy", fmt.Sprint("new ", i))
				m.want(i + 1)
			}
		}},
		{"a file that is written for a while is one, when it is done", func(m *memory) {
			for i := range 30 {
				m.write("/x/policy", strings.Repeat("x", i+1))
				time.Sleep(settle / 2)
			}
			m.wantNow(0)
			m.want(1)
		}},
		{"a change of a file that the policy names", func(m *memory) {
			m.write("/y/secret", "rotated")
			m.want(1)
		}},
		{"a change of a file that it does not name is none", func(m *memory) {
			m.write("/x/other", "new")
			m.want(0)
		}},
		{"the files that are watched are those of the last load", func(m *memory) {
			m.write("/z/key", "unheard of")
			m.write("/x/policy", "new /z/key")
			m.want(1)
			m.write("/y/secret", "rotated")
			m.want(1)
			m.write("/z/key", "rotated")
			m.want(2)
		}},
		{"a policy that is gone is one, and no more until it is back", func(m *memory) {
			m.remove("/x/policy")
			m.want(1)
			time.Sleep(time.Hour)
			m.want(1)
			m.write("/x/policy", "old /y/secret")
			m.want(2)
			time.Sleep(time.Hour)
			m.want(2)
		}},
		{"a secret that is gone is one, and is one when it is back", func(m *memory) {
			m.remove("/y/secret")
			m.want(1)
			time.Sleep(time.Hour)
			m.want(1)
			m.write("/y/secret", "s3cret")
			m.want(2)
		}},
		{"a secret that is rotated while the policy is gone", func(m *memory) {
			m.remove("/x/policy")
			m.want(1)
			m.write("/y/secret", "rotated")
			m.want(1)
			m.write("/x/policy", "old /y/secret")
			m.want(2)
			m.write("/y/secret", "rotated again")
			m.want(3)
		}},
		{"a file that may not be read is not one that is gone", func(m *memory) {
			m.deny("/x/policy", true)
			m.want(1)
			time.Sleep(time.Hour)
			m.want(1)
			m.remove("/x/policy")
			m.deny("/x/policy", false)
			m.want(2)
		}},
		{"an empty file is not one that is gone", func(m *memory) {
			m.remove("/y/secret")
			m.want(1)
			m.write("/y/secret", "")
			m.want(2)
		}},
		{"what somebody else has reloaded is none", func(m *memory) {
			m.write("/x/policy", "new")
			m.load()
			m.want(0)
			time.Sleep(time.Hour)
			m.want(0)
		}},
		{"a policy that only somebody else has seen bad", func(m *memory) {
			m.silently(func() { delete(m.files, "/x/policy") })
			m.load()
			m.write("/x/policy", "old /y/secret")
			m.want(1)
		}},
		{"a change without an event, at the next poll", func(m *memory) {
			m.silently(func() { m.files["/y/secret"] = "rotated" })
			m.want(0)
			time.Sleep(pollEvery)
			m.wantNow(1)
			time.Sleep(time.Hour)
			m.want(1)
		}},
		{"events that were lost are made up for", func(m *memory) {
			m.silently(func() { m.files["/y/secret"] = "rotated" })
			m.errors <- fsnotify.ErrEventOverflow
			m.want(1)
			m.write("/y/secret", "rotated again")
			m.want(2)
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := newMemory(t, map[string]string{"/x/policy": "old /y/secret", "/y/secret": "s3cret"})
				m.start()
				m.wantNow(0)
				tt.do(m)
				if len(m.warnings) > 0 {
					t.Errorf("warnings %q, want none", m.warnings)
				}
			})
		})
	}
}

func TestAReloadComesTwoLooksAfterTheEvent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemory(t, map[string]string{"/x/policy": "old"})
		m.start()
		m.write("/x/policy", "new")
		time.Sleep(2*settle - time.Nanosecond)
		m.wantNow(0)
		time.Sleep(time.Nanosecond)
		m.wantNow(1)
	})
}

func TestAChangeBetweenTheFirstLoadAndTheFirstLookIsSeen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemory(t, map[string]string{"/x/policy": "old"})
		m.silently(func() { m.files["/x/policy"] = "new" })
		m.start()
		m.wantNow(1)
	})
}

func TestWithoutEventsThePollIsLeft(t *testing.T) {
	tests := []struct {
		name string
		prep func(m *memory)
		do   func(m *memory)
		want string
	}{
		{
			"no more watchers",
			func(m *memory) {
				m.watcher.notify = func() (*notifier, error) { return nil, errors.New("too many open files") }
			},
			func(*memory) {},
			"watching files: too many open files; a change is seen within 30s",
		},
		{
			"no more directories",
			func(m *memory) { m.add = errors.New("no space left on device") },
			func(*memory) {},
			"watching /: no space left on device; a change is seen within 30s",
		},
		{
			"a watcher that breaks",
			func(*memory) {},
			func(m *memory) { m.errors <- errors.New("bad file descriptor") },
			"watching files: bad file descriptor; a change is seen within 30s",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := newMemory(t, map[string]string{"/x/policy": "old"})
				tt.prep(m)
				m.start()
				tt.do(m)
				for i := range 5 {
					m.silently(func() { m.files["/x/policy"] = fmt.Sprint("new ", i) })
					time.Sleep(pollEvery)
					m.want(i + 1)
				}
				if diff := cmp.Diff([]string{tt.want}, m.warnings); diff != "" {
					t.Errorf("warnings (-want +got):\n%s", diff)
				}
			})
		})
	}
}

// A shell's <(command) is a pipe: it would be found empty.
func TestWhatCanBeReadOnceOnlyIsNotWatched(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if _, err := w.WriteString("policy"); err != nil {
		t.Fatal(err)
	}
	w.Close()
	pipe := fmt.Sprintf("/dev/fd/%d", r.Fd())
	watcher := NewWatcher()
	if _, err := watcher.Load(namedIn(pipe)); err != nil {
		t.Fatal(err)
	}
	if files := watcher.files(); len(files) != 0 {
		t.Errorf("files %q are watched, want none", files)
	}
	watcher.Run(t.Context(), nil, nil) // nothing to do, and nobody to tell
}

// ways are how files are replaced. Each has a folder to itself, in which
// prepare puts the policy, a file called policy; each step is one change.
var ways = []struct {
	name    string
	prepare func(t *testing.T, folder string)
	steps   []func(t *testing.T, folder string)
	unheard bool // no directory that is watched tells of it
}{
	{
		name:    "the kubelet updates a ConfigMap",
		prepare: func(t *testing.T, f string) { kubelet(t, f, "1", "policy", "one") },
		steps: []func(*testing.T, string){
			func(t *testing.T, f string) { kubelet(t, f, "2", "policy", "two") },
			func(t *testing.T, f string) { kubelet(t, f, "3", "policy", "three") },
		},
	},
	{
		name: "the kubelet updates a Secret that the policy names",
		prepare: func(t *testing.T, f string) {
			kubelet(t, f+"/secret", "1", "key", "one")
			kubelet(t, f, "1", "policy", f+"/secret/key")
		},
		steps: []func(*testing.T, string){
			func(t *testing.T, f string) { kubelet(t, f+"/secret", "2", "key", "two") },
			func(t *testing.T, f string) { kubelet(t, f+"/secret", "3", "key", "three") },
		},
	},
	{
		name:    "an editor renames over it",
		prepare: inPlace("policy", "one"),
		steps:   []func(*testing.T, string){renameOver("two"), renameOver("three")},
	},
	{
		name:    "it is written in place",
		prepare: inPlace("policy", "one"),
		steps:   []func(*testing.T, string){inPlace("policy", "two"), inPlace("policy", "three")},
	},
	{
		name:    "it is gone, and comes back as it was",
		prepare: inPlace("policy", "one"),
		steps: []func(*testing.T, string){
			func(t *testing.T, f string) { must(t, os.Remove(f+"/policy")) },
			inPlace("policy", "one"), inPlace("policy", "two"),
		},
	},
	{
		name: "its directory is gone, and another comes in its place",
		prepare: func(t *testing.T, f string) {
			write(t, f+"/policy", f+"/keys/key")
			write(t, f+"/keys/key", "one")
		},
		steps: []func(*testing.T, string){
			func(t *testing.T, f string) { must(t, os.Rename(f+"/keys", f+"/old")) },
			inPlace("keys/key", "two"), inPlace("keys/key", "three"),
		},
	},
	{
		name: "the policy names a file elsewhere",
		prepare: func(t *testing.T, f string) {
			write(t, f+"/keys/key", "one")
			write(t, f+"/policy", "none yet")
		},
		steps: []func(*testing.T, string){
			func(t *testing.T, f string) { write(t, f+"/policy", f+"/keys/key") },
			inPlace("keys/key", "two"), inPlace("keys/key", "three"),
		},
	},
	{
		name: "it is a link, and what it leads to is written",
		prepare: func(t *testing.T, f string) {
			write(t, f+"/there/policy", "one")
			must(t, os.Symlink("there/policy", f+"/policy"))
		},
		steps: []func(*testing.T, string){inPlace("there/policy", "two"), inPlace("there/policy", "three")},
	},
	{
		name: "its directory is a link, which is swapped",
		prepare: func(t *testing.T, f string) {
			write(t, f+"/1/key", "one")
			write(t, f+"/2/key", "two")
			swap(t, f+"/now/v", "../1")
			write(t, f+"/policy", f+"/now/v/key")
		},
		steps: []func(*testing.T, string){
			func(t *testing.T, f string) { swap(t, f+"/now/v", "../2") },
			inPlace("2/key", "three"),
		},
		unheard: true,
	},
}

// kubelet publishes a volume as the kubelet does: the files in a directory
// with a new name, a link to it renamed over the one before, and what the
// files are called a link through that link.
func kubelet(t *testing.T, volume, version, name, text string) {
	t.Helper()
	before, _ := os.Readlink(volume + "/..data")
	dir := "..2026_11_23_04_15_" + version
	write(t, filepath.Join(volume, dir, name), text)
	swap(t, volume+"/..data", dir)
	if before == "" {
		must(t, os.Symlink("..data/"+name, filepath.Join(volume, name)))
		return
	}
	must(t, os.RemoveAll(filepath.Join(volume, before)))
}

// swap makes link lead to target, in one step.
func swap(t *testing.T, link, target string) {
	t.Helper()
	must(t, os.MkdirAll(filepath.Dir(link), 0o700))
	must(t, os.Symlink(target, link+"_tmp"))
	must(t, os.Rename(link+"_tmp", link))
}

func inPlace(name, text string) func(*testing.T, string) {
	return func(t *testing.T, folder string) { write(t, filepath.Join(folder, name), text) }
}

func renameOver(text string) func(*testing.T, string) {
	return func(t *testing.T, folder string) {
		write(t, folder+"/policy.swp", text)
		must(t, os.Rename(folder+"/policy.swp", folder+"/policy"))
	}
}

func write(t *testing.T, path, text string) {
	t.Helper()
	must(t, os.MkdirAll(filepath.Dir(path), 0o700))
	must(t, os.WriteFile(path, []byte(text), 0o600))
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// With the events of the file system, and so in its time. Each change comes
// when the watcher has looked for the last time, so that only an event tells
// of it before the poll does.
func TestHoweverAFileIsReplacedItIsHeard(t *testing.T) {
	for _, tt := range ways {
		if tt.unheard {
			continue
		}
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			folder := t.TempDir()
			tt.prepare(t, folder)
			load := namedIn(folder + "/policy")
			watcher := NewWatcher()
			_, _ = watcher.Load(load)

			const look, reload = "look", "reload"
			done := make(chan string, 1000)
			watcher.read = func(path string) ([]byte, error) {
				done <- look
				return readFile(path)
			}
			next := func(what string) {
				t.Helper()
				for timeout := time.After(pollEvery / 2); ; {
					select {
					case got := <-done:
						if got == what {
							return
						}
					case <-timeout:
						t.Fatalf("no %s", what)
					}
				}
			}
			ctx, stop := context.WithCancel(t.Context())
			defer stop()
			go watcher.Run(ctx, func() {
				_, _ = watcher.Load(load)
				done <- reload
			}, func(err error) { t.Error(err) })
			for _, step := range tt.steps {
				next(look)
				watcher.files() // waits until the look ends
				step(t, folder)
				next(reload)
			}
		})
	}
}

// Without events, and so in no time.
func TestHoweverAFileIsReplacedThePollFindsIt(t *testing.T) {
	for _, tt := range ways {
		t.Run(tt.name, func(t *testing.T) {
			folder := t.TempDir()
			synctest.Test(t, func(t *testing.T) {
				tt.prepare(t, folder)
				load := namedIn(folder + "/policy")
				watcher := NewWatcher()
				watcher.notify = func() (*notifier, error) { return nil, errors.New("none") }
				_, _ = watcher.Load(load)

				ctx, stop := context.WithCancel(t.Context())
				defer stop()
				reloads := 0
				go watcher.Run(ctx, func() {
					_, _ = watcher.Load(load)
					reloads++
				}, func(error) {})
				time.Sleep(pollEvery / 2)
				for i, step := range tt.steps {
					step(t, folder)
					time.Sleep(2 * pollEvery)
					synctest.Wait()
					if reloads != i+1 {
						t.Errorf("%d reloads after change %d", reloads, i+1)
					}
				}
			})
		})
	}
}

func TestDirectoriesAreThoseOfTheFilesOfNow(t *testing.T) {
	folder, err := filepath.EvalSymlinks(t.TempDir())
	must(t, err)
	for _, dir := range []string{"a", "b", "c"} {
		must(t, os.Mkdir(filepath.Join(folder, dir), 0o700))
	}
	write(t, folder+"/b/file", "text")
	must(t, os.Symlink("../b/file", folder+"/a/link"))
	must(t, os.Symlink("c", folder+"/d"))

	watched := map[string]bool{}
	n := &notifier{
		add:    func(dir string) error { watched[dir] = true; return nil },
		remove: func(dir string) error { delete(watched, dir); return nil },
		list:   func() []string { return slices.Collect(maps.Keys(watched)) },
		deaf:   map[string]bool{},
	}
	for _, step := range []struct{ files, want []string }{
		{[]string{"/a/link"}, []string{"/a", "/b"}},
		{[]string{"/b/file", "/b/other"}, []string{"/b"}},
		{[]string{"/d/file"}, []string{"/c"}},
		{[]string{"/c/not/there/file"}, []string{"/c"}},
		{[]string{"/gone/file"}, []string{""}},
		{nil, nil},
	} {
		var files, got []string
		for _, f := range step.files {
			files = append(files, folder+f)
		}
		n.follow(files)
		for _, dir := range slices.Sorted(maps.Keys(watched)) {
			got = append(got, strings.TrimPrefix(dir, folder))
		}
		if diff := cmp.Diff(step.want, got); diff != "" {
			t.Errorf("for %v (-want +got):\n%s", step.files, diff)
		}
	}
}

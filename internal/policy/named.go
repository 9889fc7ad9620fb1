package policy

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
)

// readNamed reads a file that the policy names.
func (w *walk) readNamed(path, name string, secret bool) {
	if w.Offline || name == "" {
		return
	}
	if err := w.keep(name, w.ReadFile); err != nil {
		w.report(path, "cannot be read: "+err.Error())
		return
	}
	w.reads[path] = name
	if secret {
		w.secrets[path] = w.placeOf(name)
	}
}

// refers is a section of which a file may refer to others. It reads each of
// them by the key that names the first, and the name that the policy would
// have for it.
type refers interface {
	References(read func(key, name string) ([]byte, error))
}

var errUnread = errors.New("cannot be read") // which has been reported

// referred returns what is in a file that the one named at path refers to, or
// in that one. Only the policy itself leads out of its folder.
func (w *walk) referred(path, name string) ([]byte, error) {
	switch first, ok := w.reads[path]; {
	case !ok:
		return nil, errUnread
	case first == name:
		return w.files[name], nil
	}
	inside := func(place string) ([]byte, error) { return w.ReadInside(w.folder, place) }
	if err := w.keep(name, inside); err != nil {
		w.report(path, fmt.Sprintf("refers to %s, which cannot be read: %v", name, err))
		return nil, errUnread
	}
	w.reads[path+"["+name+"]"] = name
	return w.files[name], nil
}

// keep reads the file called name.
func (w *walk) keep(name string, read func(place string) ([]byte, error)) error {
	data, err := read(w.placeOf(name))
	if err == nil && len(data) > maxFile {
		err = errors.New("is larger than 1 MiB")
	}
	if err == nil {
		w.files[name] = data
	}
	return withoutPlace(err)
}

func (w *walk) placeOf(name string) string {
	if filepath.IsAbs(name) {
		return name
	}
	return filepath.Join(w.folder, name)
}

var errOutside = errors.New("must be in the folder of the policy")

// readInside reads the file at path, which must be in folder and not lead out
// of it by a link.
func readInside(read func(path string) ([]byte, error), folder, path string) ([]byte, error) {
	if !within(folder, path) {
		return nil, errOutside
	}
	target, err := filepath.EvalSymlinks(path)
	switch {
	case errors.Is(err, fs.ErrNotExist): // read tells so, if it reads from there
	case err != nil:
		return nil, err
	default:
		if folder, err = filepath.EvalSymlinks(folder); err != nil {
			return nil, err
		}
		if !within(folder, target) {
			return nil, errOutside
		}
	}
	return read(path)
}

func within(folder, path string) bool {
	rel, err := filepath.Rel(folder, path)
	return err == nil && filepath.IsLocal(rel)
}

// withoutPlace returns err without the place of the file, which is known and
// may come from a variable.
func withoutPlace(err error) error {
	var pathErr *fs.PathError
	if errors.As(err, &pathErr) {
		return pathErr.Err
	}
	return err
}

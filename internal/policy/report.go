package policy

import (
	"slices"
	"strings"

	"gopkg.in/yaml.v3"
)

// report notes a problem.
func (w *walk) report(path, text string) {
	w.problems = append(w.problems, w.problem(path, text))
	for ; path != ""; path = parent(path) {
		w.wrong[path] = true
	}
}

// unread notes that the value at path is not known, so that no check judges it.
func (w *walk) unread(path string) {
	w.doubts[path] = append(w.doubts[path], "")
	for around := parent(path); path != ""; path, around = around, parent(around) {
		if w.sections[around] {
			w.doubts[around] = append(w.doubts[around], strings.TrimPrefix(path[len(around):], "."))
		}
	}
}

// refuse notes that the value at path cannot be read.
func (w *walk) refuse(path, text string) bool {
	w.report(path, text)
	w.unread(path)
	return false
}

// check notes what a check found, unless that follows from what could not be
// read: it judges that value, or names its key.
func (w *walk) check(path, text string) {
	for _, around := range []string{path, parent(path)} {
		for _, key := range w.doubts[around] {
			if strings.Contains(text, key) {
				return
			}
		}
	}
	w.report(path, text)
}

// reportAt notes a problem of a key, which has no value to point at.
func (w *walk) reportAt(key *yaml.Node, path, text string) {
	w.report(path, text)
	p := &w.problems[len(w.problems)-1]
	p.Line, p.Column = key.Line, key.Column
}

// has reports whether path is in the file.
func (w *walk) has(path string) bool { _, ok := w.at[path]; return ok }

// isUnread reports whether the value at path itself could not be read.
func (w *walk) isUnread(path string) bool { return slices.Contains(w.doubts[path], "") }

// sound reports whether everything at and below path was read without a
// problem.
func (w *walk) sound(path string) bool { return !w.wrong[path] && len(w.doubts[path]) == 0 }

package policy

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Problem is one thing that is wrong with a policy file, and where.
type Problem struct {
	File         string
	Line, Column int
	Path         string // of the key, such as policies.retry.safe.maxAttempts; empty for the whole file
	Text         string
}

// String returns FILE:LINE:COLUMN: PATH: TEXT, the form that editors jump to.
func (p Problem) String() string {
	at := fmt.Sprintf("%s:%d:%d: ", p.File, p.Line, p.Column)
	if p.Path != "" {
		at += p.Path + ": "
	}
	return at + p.Text
}

// Problems is everything that is wrong with a policy file, in its order.
type Problems []Problem

// Error returns the problems, one a line.
func (ps Problems) Error() string { return strings.Join(ps.Lines(), "\n") }

// Lines returns the problems as people read them.
func (ps Problems) Lines() []string {
	lines := make([]string, len(ps))
	for i, p := range ps {
		lines[i] = p.String()
	}
	return lines
}

// sorted returns ps in the order of the file, each problem once.
func (ps Problems) sorted() Problems {
	slices.SortFunc(ps, func(a, b Problem) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column),
			cmp.Compare(a.Path, b.Path), cmp.Compare(a.Text, b.Text))
	})
	return slices.Compact(ps)
}

// Problem returns text as a problem of the key at path. Its position is that
// of the key's value or, for a section and for what is not in the file, of
// the nearest key around it. What a variable holds is not shown.
func (f *File) Problem(path, text string) Problem { return f.origin().problem(path, text) }

// join returns the path of a key below path.
func join(path, key string) string {
	switch {
	case path == "":
		return key
	case key == "" || key[0] == '[':
		return path + key
	}
	return path + "." + key
}

// parent returns the path of what is around path.
func parent(path string) string { return path[:max(0, strings.LastIndexAny(path, ".["))] }

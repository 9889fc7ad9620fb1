package exchange

import (
	"fmt"
	"strings"
)

// wildcard matches a string in which each * stands for any run of characters,
// also an empty one.
type wildcard struct {
	head  string   // before the first *
	parts []string // between two of them; nil without any *
	tail  string   // behind the last
	stars bool
}

func newWildcard(pattern string) wildcard {
	parts := strings.Split(pattern, "*")
	if len(parts) == 1 {
		return wildcard{head: pattern}
	}
	last := len(parts) - 1
	return wildcard{head: parts[0], parts: parts[1:last], tail: parts[last], stars: true}
}

// match looks for each part at its first place behind the one before: the
// earliest place leaves most for the rest, so no other needs to be tried.
func (w wildcard) match(s string) bool {
	if !w.stars {
		return s == w.head
	}
	if len(s) < len(w.head)+len(w.tail) || !strings.HasPrefix(s, w.head) || !strings.HasSuffix(s, w.tail) {
		return false
	}
	s = s[len(w.head) : len(s)-len(w.tail)]
	for _, part := range w.parts {
		i := strings.Index(s, part)
		if i < 0 {
			return false
		}
		s = s[i+len(part):]
	}
	return true
}

// Wildcards are several patterns of which one must match: * in them stands for
// any run of characters, also an empty one.
type Wildcards []wildcard

// NewWildcards returns patterns made ready for matching.
func NewWildcards(patterns []string) Wildcards {
	var all Wildcards
	for _, pattern := range patterns {
		all = append(all, newWildcard(pattern))
	}
	return all
}

// Match reports whether one of ws matches s. It does not allocate.
func (ws Wildcards) Match(s string) bool {
	for i := range ws {
		if ws[i].match(s) {
			return true
		}
	}
	return false
}

// MatchPart reports whether text lists several values and one of them matches.
func (ws Wildcards) MatchPart(text string) bool {
	if !strings.Contains(text, ",") {
		return false
	}
	for part := range strings.SplitSeq(text, ",") {
		if ws.Match(strings.Trim(part, " \t")) {
			return true
		}
	}
	return false
}

// PathGlob matches a path segment by segment: * stands for one segment or a
// part of one, also an empty one; ** for any number of segments, also none.
type PathGlob struct {
	head     string        // what every match begins with
	lead     string        // the segments before the first with a star: they are compared at once
	segments []segmentGlob // what follows
}

type segmentGlob struct {
	any  bool // **
	like wildcard
}

// NewPathGlob returns pattern, which begins with a slash, made ready for
// matching.
func NewPathGlob(pattern string) PathGlob {
	head, _, starred := strings.Cut(pattern, "*")
	if starred {
		head = strings.TrimSuffix(head, "/") // /a/** matches /a
	}
	lead, segments := "", []segmentGlob(nil)
	for text := range strings.SplitSeq(strings.TrimPrefix(pattern, "/"), "/") {
		switch last := len(segments) - 1; {
		case last < 0 && !strings.Contains(text, "*"):
			lead += "/" + text
		case text != "**":
			segments = append(segments, segmentGlob{like: newWildcard(text)})
		case last < 0 || !segments[last].any: // two of them say no more than one
			segments = append(segments, segmentGlob{any: true})
		}
	}
	return PathGlob{head, lead, segments}
}

// Head returns what every path that p matches begins with.
func (p PathGlob) Head() string { return p.head }

// Match reports whether p matches the whole path. It does not allocate.
//
// It goes back only to the last ** it has met, so it compares each segment
// of the path at most once with each of the pattern.
func (p PathGlob) Match(path string) bool {
	if !strings.HasPrefix(path, p.head) { // most paths need no more
		return false
	}
	rest, ok := strings.CutPrefix(path, p.lead)
	if !ok || path == "" {
		return false
	}
	g := p.segments
	at, next := segments{}, 0 // what is left of the path and of g
	if rest != "" {
		if rest[0] != '/' {
			return false
		}
		at = segments{rest[1:], true}
	}
	back, backTo := segments{}, -1 // the same, behind the last **
	for at.more {
		if next < len(g) && g[next].any {
			if next == len(g)-1 {
				return true
			}
			next++
			back, backTo = at, next
			continue
		}
		segment, after := at.cut()
		if next < len(g) && g[next].like.match(segment) {
			at, next = after, next+1
			continue
		}
		if backTo < 0 {
			return false
		}
		_, back = back.cut() // ** takes one segment more
		at, next = back, backTo
	}
	return next == len(g) || next == len(g)-1 && g[next].any
}

// segments are those of a path that are left. While there are more, rest
// begins with one, which may be empty.
type segments struct {
	rest string
	more bool
}

func (s segments) cut() (string, segments) {
	segment, rest, more := strings.Cut(s.rest, "/")
	return segment, segments{rest, more}
}

// Paths reports each pattern that is none for a PathGlob.
func Paths(report Report, field string, patterns []string) {
	for i, pattern := range patterns {
		at := fmt.Sprintf("%s[%d]", field, i)
		if !strings.HasPrefix(pattern, "/") {
			report(at, fmt.Sprintf("must begin with /, got %q", pattern))
		}
		if halfStars(pattern) {
			report(at, fmt.Sprintf("must have ** as a segment of its own, as in /admin/**, got %q", pattern))
		}
	}
}

// halfStars reports whether ** is a part of a segment of pattern. There it would
// stop at the next slash: a deny rule on /admin** would let /admin/x by.
func halfStars(pattern string) bool {
	for segment := range strings.SplitSeq(pattern, "/") {
		if segment != "**" && strings.Contains(segment, "**") {
			return true
		}
	}
	return false
}

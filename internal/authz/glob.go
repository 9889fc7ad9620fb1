package authz

import "strings"

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

// wildcards are several of which one must match.
type wildcards []wildcard

func newWildcards(patterns []string) wildcards {
	var all wildcards
	for _, pattern := range patterns {
		all = append(all, newWildcard(pattern))
	}
	return all
}

func (ws wildcards) match(s string) bool {
	for i := range ws {
		if ws[i].match(s) {
			return true
		}
	}
	return false
}

// matchPart reports whether one of the values that text lists matches.
func (ws wildcards) matchPart(text string) bool {
	if !strings.Contains(text, ",") {
		return false
	}
	for part := range strings.SplitSeq(text, ",") {
		if ws.match(strings.Trim(part, " \t")) {
			return true
		}
	}
	return false
}

// pathGlob matches a path segment by segment: * stands for one segment or a
// part of one, also an empty one; ** for any number of segments, also none.
type pathGlob struct {
	head     string // what every match begins with
	segments []segmentGlob
}

type segmentGlob struct {
	any  bool // **
	like wildcard
}

func newPathGlob(pattern string) pathGlob {
	head, _, starred := strings.Cut(pattern, "*")
	if starred {
		head = strings.TrimSuffix(head, "/") // /a/** matches /a
	}
	var segments []segmentGlob
	for text := range strings.SplitSeq(strings.TrimPrefix(pattern, "/"), "/") {
		switch last := len(segments) - 1; {
		case text != "**":
			segments = append(segments, segmentGlob{like: newWildcard(text)})
		case last < 0 || !segments[last].any: // two of them say no more than one
			segments = append(segments, segmentGlob{any: true})
		}
	}
	return pathGlob{head, segments}
}

// match goes back only to the last ** it has met, so it compares each segment
// of the path at most once with each of the pattern.
func (p pathGlob) match(path string) bool {
	if !strings.HasPrefix(path, p.head) { // most paths need no more
		return false
	}
	rest, ok := strings.CutPrefix(path, "/")
	if !ok {
		return false
	}
	g := p.segments
	at, next := segments{rest, true}, 0 // what is left of the path and of g
	back, backTo := segments{}, -1      // the same, behind the last **
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

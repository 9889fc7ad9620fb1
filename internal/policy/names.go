package policy

import (
	"fmt"
	"regexp"
	"strings"
)

var nameShape = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$`)

// checkName returns what is wrong with a name: names stand in paths, URLs,
// metrics and logs, so that none of them needs quotes.
func checkName(name string, isPolicy bool) string {
	switch {
	case !nameShape.MatchString(name):
		return fmt.Sprintf("must be a name of at most 63 letters, digits, dots, dashes and underscores that begins with a letter or digit, got %q", name)
	case isPolicy && (name == none || name == builtIn):
		return fmt.Sprintf("must not be the name of a policy: %q has a meaning of its own", name)
	}
	return ""
}

// missing says that there is no such thing, and which one was probably meant.
func missing(what, name string, known []string) string {
	text := fmt.Sprintf("there is no %s %q", what, name)
	if meant := nearest(name, known); meant != "" {
		return text + fmt.Sprintf("; did you mean %q?", meant)
	}
	if len(known) > 0 {
		return text + "; there are " + strings.Join(known, ", ")
	}
	return text
}

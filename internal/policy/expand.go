package policy

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"
)

var variableName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// expansion is what became of the variables in a scalar.
type expansion struct {
	text    string
	any     bool     // there was a variable
	unknown bool     // one of them has no value, since variables are not read
	unset   []string // the variables that are not set, and must be
	problem []string // what else is wrong
}

// expand puts in the values of ${NAME}, and of ${NAME:-text} where NAME is not
// set or empty, as a shell does. $$ is a dollar, and so is a $ before anything
// else. What a variable holds is not looked at again: it cannot name another
// variable, nor change the structure of the file. lookup is nil when variables
// are not read.
func expand(written string, lookup func(string) (string, bool)) expansion {
	e := expansion{text: written}
	if !strings.Contains(written, "$") {
		return e
	}
	var out strings.Builder
	for rest := written; ; {
		before, after, found := strings.Cut(rest, "$")
		out.WriteString(before)
		if !found {
			break
		}
		if rest = after; strings.HasPrefix(after, "$") {
			rest = after[1:]
		}
		if !strings.HasPrefix(after, "{") {
			out.WriteByte('$')
			continue
		}
		e.any = true
		inside, behind, closed := strings.Cut(after[1:], "}")
		if !closed {
			e.problem = append(e.problem, "must close ${ with }; a ${ that is meant as text is written $${")
			break
		}
		out.WriteString(e.variable(inside, lookup))
		rest = behind
	}
	e.text = out.String()
	return e
}

// variable returns the value of what stands between the braces.
func (e *expansion) variable(inside string, lookup func(string) (string, bool)) string {
	name, otherwise, hasDefault := strings.Cut(inside, ":-")
	if !variableName.MatchString(name) || strings.Contains(otherwise, "${") {
		e.problem = append(e.problem,
			"must name a variable as ${NAME} or ${NAME:-default}, got "+strconv.Quote("${"+inside+"}"))
		return ""
	}
	var value string
	var set bool
	if lookup != nil {
		if value, set = lookup(name); !set {
			value = ""
		}
	}
	switch {
	case value != "" && !utf8.ValidString(value):
		e.problem = append(e.problem, fmt.Sprintf("variable %s must hold UTF-8", name))
	case value != "" || set && !hasDefault:
		return value
	case hasDefault:
		return otherwise
	case lookup == nil:
		e.unknown = true
	default:
		e.unset = append(e.unset, name)
	}
	return ""
}

package policy

import (
	"cmp"
	"fmt"
	"strings"
	"testing"

	"sidecar/internal/golden"
)

// docs/policy.md is what the doc comments say.
func TestReferenceIsCurrent(t *testing.T) {
	m := newModel(t)
	var b strings.Builder
	b.WriteString(intro)
	for _, s := range m.sections {
		b.WriteString(s.reference())
	}
	golden.File(t, "../../docs/policy.md", b.String())
}

const intro = `# The policy file

Generated from the doc comments by ` + "`make docs`" + `.

A value is written so:

| | |
|---|---|
| duration | ` + "`500ms`, `5s`, `1m30s`" + ` |
| size | bytes: ` + "`512`, `64KiB`, `10MiB`, `1GiB`" + ` |
| rate | ` + "`50/s`, `100/m`, `1000/h`" + ` |
| bandwidth | bytes a second: ` + "`512/s`, `64KiB/s`, `1MiB/s`, up to `1GiB/s`" + ` |
| condition | a status of 400 to 599, ` + "`5xx`, `gateway-error` (502, 503, 504), `retriable-4xx` (409), `connect-failure`, `reset-before-request`, `refused-stream` (the same), `reset`, `timeout`, `protocol`" + `, or ` + "`grpc-`" + ` and a code: ` + "`cancelled`, `unknown`, `deadline-exceeded`, `resource-exhausted`, `aborted`, `internal`, `unavailable`, `data-loss`" + `. A status, ` + "`5xx`" + ` too, is one of an answer: what ends without one has the words after it |
| patience | a duration of 1ms or more, or a percentile of the times seen, ` + "`p50` to `p99`" + ` |
| variable | a variable and nothing else: ` + "`${VAR}` or `${VAR:-}`" + ` |

` + "`${VAR}` and `${VAR:-default}`" + ` stand for a variable in any value; ` + "`$$`" + ` is a dollar. NAME is a name that
you choose: at most 63 letters, digits, dots, dashes and underscores. ` + "`sidecar schema`" + ` prints all this for editors.
`

// reference returns s for people.
func (s *section) reference() string {
	var b strings.Builder
	fmt.Fprintf(&b, "\n## %s\n\n", cmp.Or(s.title(), "The whole"))
	if s.doc != "" {
		fmt.Fprintf(&b, "%s\n\n", markdown(strings.ToUpper(s.doc[:1])+s.doc[1:]))
	}
	b.WriteString("| key | value | default | |\n|---|---|---|---|\n")
	for _, k := range s.keys {
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", k.name, k.value, k.otherwise(), markdown(k.doc))
	}
	return b.String()
}

func (s *section) title() string { return strings.ReplaceAll(s.path, "[0]", "[]") }

// link leads to the heading of s.
func (s *section) link(text string) string {
	anchor := strings.NewReplacer(".", "", "[", "", "]", "").Replace(strings.ToLower(s.title()))
	return fmt.Sprintf("[%s](#%s)", text, anchor)
}

// otherwise returns what holds where k is not said.
func (k key) otherwise() string {
	switch {
	case k.required:
		return "required"
	case k.fallback != nil:
		return "`" + new(File).Inline(k.fallback) + "`"
	}
	return ""
}

// String returns what may stand there.
func (k kind) String() string {
	switch k.sort {
	case isSection:
		return k.section.link("section")
	case isNames:
		return k.of.section.link("by NAME")
	case isMapping:
		return "mapping to " + k.of.String()
	case isOneOrMore:
		return k.of.String() + " or list of " + k.of.String()
	case isList:
		return "list of " + strings.TrimPrefix(k.of.String(), "one of ")
	case isReference:
		choices := "name"
		if !k.single {
			choices += ", list of names"
		}
		if k.section != nil {
			choices += ", " + k.section.link("policy")
		}
		return choices + " or `none`"
	}
	switch {
	case len(k.words) == 1:
		return "`" + k.words[0] + "`"
	case k.words != nil:
		return "one of `" + strings.Join(k.words, "`, `") + "`"
	case k.limits != nil:
		return k.limits[0] + " to " + k.limits[1]
	case k.scalar == "boolean":
		return "`true` or `false`"
	case k.scalar == "integer":
		return "whole number"
	}
	return k.scalar
}

// markdown returns text as it is to be read in a table.
func markdown(text string) string {
	return strings.NewReplacer("*", `\*`, "|", `\|`, "<", `\<`).Replace(text)
}

package policy

import (
	"encoding"
	"errors"
	"fmt"
	"math"
	"reflect"
	"strconv"
	"strings"
	"time"

	"gopkg.in/yaml.v3"
)

// scalar reads one value: a text, a number, a word.
func (w *walk) scalar(node *yaml.Node, path string, v reflect.Value) bool {
	if node.Kind != yaml.ScalarNode {
		return w.refuse(path, fmt.Sprintf("must be %s, got %s", wanted(v), describe(node)))
	}
	lookup := w.LookupEnv
	if w.Offline {
		lookup = nil
	}
	e := expand(node.Value, lookup)
	s, isSecret := v.Addr().Interface().(*Secret)
	for _, name := range e.unset {
		hint := ", and has no default such as ${" + name + ":-text}"
		if isSecret {
			hint = ": it must hold the secret" // a default would stand in the file
		}
		e.problem = append(e.problem, "variable "+name+" is not set"+hint)
	}
	if len(e.problem) > 0 {
		for _, p := range e.problem {
			w.report(path, p)
		}
		w.unread(path)
		return false
	}
	if e.unknown {
		w.partial = w.partial || strings.HasPrefix(path, "routes[") || strings.HasPrefix(path, "defaults.")
		w.unread(path)
		return false
	}
	if e.any {
		w.conceal(hidden{path, node.Value, e.text})
	}
	if isSecret {
		return w.secret(path, node.Value, e.text, s)
	}
	// Only what is written can be of the wrong sort: a variable is always text.
	plain := e.any || node.Style&(yaml.SingleQuotedStyle|yaml.DoubleQuotedStyle|yaml.LiteralStyle|yaml.FoldedStyle) == 0
	if err := set(v, e.text, plain); err != nil {
		if errors.Is(err, errWrong) {
			err = fmt.Errorf("must be %s, got %s", wanted(v), describe(node))
		}
		return w.refuse(path, err.Error())
	}
	return true
}

// errWrong is a text that is not of the sort that is wanted.
var errWrong = errors.New("of the wrong sort")

// set reads text into v. plain is whether it stood without quotes, which
// numbers and booleans must.
func set(v reflect.Value, text string, plain bool) error {
	if u, ok := v.Addr().Interface().(encoding.TextUnmarshaler); ok {
		return u.UnmarshalText([]byte(text))
	}
	ok := false
	switch {
	case v.Type() == reflect.TypeFor[time.Duration]():
		d, err := time.ParseDuration(text)
		ok = err == nil && d >= 0
		v.SetInt(int64(d))
	case v.Kind() == reflect.String:
		ok = true
		v.SetString(text)
	case v.Kind() == reflect.Bool:
		ok = plain && (text == "true" || text == "false")
		v.SetBool(text == "true")
	case v.CanInt():
		n, err := strconv.ParseInt(text, 10, v.Type().Bits())
		// 010 is eight to some and ten to others.
		ok = plain && err == nil && strconv.FormatInt(n, 10) == text
		v.SetInt(n)
	case v.CanFloat():
		n, err := strconv.ParseFloat(text, 64)
		ok = plain && err == nil && !math.IsInf(n, 0) && !math.IsNaN(n) && !strings.ContainsAny(text, "xX_")
		v.SetFloat(n)
	}
	if !ok {
		return errWrong
	}
	return nil
}

// wanted says what v takes.
func wanted(v reflect.Value) string {
	switch {
	case v.Type() == reflect.TypeFor[time.Duration]():
		return "a duration such as 500ms, 5s or 1m"
	case v.Kind() == reflect.Bool:
		return "true or false"
	case v.CanInt() && v.Type().PkgPath() == "":
		return "a whole number"
	case v.CanFloat():
		return "a number"
	}
	return "a single value"
}

// describe returns what a node is, for people: a short scalar as it stands in
// the file, quotes included.
func describe(n *yaml.Node) string {
	const short = 60
	switch n.Kind {
	case yaml.MappingNode:
		return "a mapping"
	case yaml.SequenceNode:
		return "a list"
	case yaml.AliasNode:
		return "an alias"
	}
	text := n.Value
	if runes := []rune(text); len(runes) > short {
		text = string(runes[:short]) + "..."
	}
	if n.Style == 0 && segment(text) == text && text != "" {
		return text
	}
	return strconv.Quote(text)
}

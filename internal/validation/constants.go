package validation

import (
	"encoding/json"
	"math/big"
	"slices"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// constants are the values of an enum, or that of a const.
type constants struct {
	words   map[string]bool // true, false and null
	texts   map[string]bool
	numbers []ratio
}

func (r *rule) setConstants(s *jsonschema.Schema) bool {
	ok := true
	if s.Enum != nil {
		ok = r.addConstants(s.Enum.Values)
	}
	if s.Const != nil {
		ok = ok && r.addConstants([]any{*s.Const})
	}
	return ok
}

func (r *rule) addConstants(values []any) bool {
	c := &constants{words: map[string]bool{}, texts: map[string]bool{}}
	for _, value := range values {
		switch value := value.(type) {
		case nil:
			c.words["null"] = true
		case bool:
			c.words[map[bool]string{true: "true", false: "false"}[value]] = true
		case string:
			c.texts[value] = true
		case json.Number:
			x, ok := exactlyText(value)
			if !ok {
				return false
			}
			c.numbers = append(c.numbers, x)
		default:
			return false
		}
	}
	r.constants = append(r.constants, c)
	return true
}

func exactlyText(text json.Number) (ratio, bool) {
	r, ok := new(big.Rat).SetString(text.String())
	if !ok {
		return ratio{}, false
	}
	return exactly(r)
}

func (c *constants) number(x ratio) bool {
	return slices.ContainsFunc(c.numbers, func(y ratio) bool { return x.compare(y) == 0 })
}

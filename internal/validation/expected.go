package validation

import (
	"encoding/json"
	"fmt"
	"math/big"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/santhosh-tekuri/jsonschema/v6/kind"
)

// expected says what a schema wants. What the library says by itself repeats
// what was there.
func expected(k jsonschema.ErrorKind) string {
	switch k := k.(type) {
	case *kind.Type:
		return "must be of type " + strings.Join(k.Want, " or ")
	case *kind.Enum:
		return oneOf(k.Want)
	case *kind.Const:
		return oneOf([]any{k.Want})
	case *kind.Format:
		return "must have the format " + k.Want
	case *kind.Pattern:
		return "must match " + k.Want
	case *kind.Required:
		return "must have " + strings.Join(k.Missing, ", ")
	case *kind.Dependency:
		return fmt.Sprintf("must have %s beside %s", strings.Join(k.Missing, ", "), k.Prop)
	case *kind.DependentRequired:
		return fmt.Sprintf("must have %s beside %s", strings.Join(k.Missing, ", "), k.Prop)
	case *kind.AdditionalProperties:
		return "must have no other members than those that are named"
	case *kind.FalseSchema:
		return "must not be there"
	case *kind.PropertyNames:
		return "has a member whose name is not accepted"
	case *kind.AnyOf:
		return "must fit one of the alternatives"
	case *kind.OneOf:
		return "must fit exactly one of the alternatives"
	case *kind.UniqueItems:
		return "must have no two items that are equal"
	}
	if text := expectedCount(k); text != "" {
		return text
	}
	return "does not fit: " + strings.Join(k.KeywordPath(), "/")
}

// expectedCount is expected for what is measured.
func expectedCount(k jsonschema.ErrorKind) string {
	switch k := k.(type) {
	case *kind.MinLength:
		return fmt.Sprintf("must have at least %d characters", k.Want)
	case *kind.MaxLength:
		return fmt.Sprintf("must have at most %d characters", k.Want)
	case *kind.MinItems:
		return fmt.Sprintf("must have at least %d items", k.Want)
	case *kind.MaxItems:
		return fmt.Sprintf("must have at most %d items", k.Want)
	case *kind.MinProperties:
		return fmt.Sprintf("must have at least %d members", k.Want)
	case *kind.MaxProperties:
		return fmt.Sprintf("must have at most %d members", k.Want)
	case *kind.MinContains:
		return fmt.Sprintf("must have at least %d items of the kind that it must contain", k.Want)
	case *kind.MaxContains:
		return fmt.Sprintf("must have at most %d items of the kind that it must contain", k.Want)
	case *kind.Minimum:
		return "must be at least " + decimal(k.Want)
	case *kind.Maximum:
		return "must be at most " + decimal(k.Want)
	case *kind.ExclusiveMinimum:
		return "must be more than " + decimal(k.Want)
	case *kind.ExclusiveMaximum:
		return "must be less than " + decimal(k.Want)
	case *kind.MultipleOf:
		return "must be a multiple of " + decimal(k.Want)
	}
	return ""
}

func decimal(r *big.Rat) string {
	if r.IsInt() {
		return r.Num().String()
	}
	f, _ := r.Float64()
	return fmt.Sprint(f)
}

// oneOf says which values are accepted, if they are few.
func oneOf(values []any) string {
	const long = 200
	words := make([]string, len(values))
	for i, value := range values {
		text, err := json.Marshal(value)
		if err != nil {
			return "must be one of the values that the schema lists"
		}
		words[i] = string(text)
	}
	list := strings.Join(words, ", ")
	switch {
	case len(list) > long:
		return "must be one of the values that the schema lists"
	case len(words) == 1:
		return "must be " + list
	}
	return "must be one of " + list
}

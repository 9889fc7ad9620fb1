package validation

import (
	"math"
	"reflect"
	"slices"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// known are the keywords that rules hold, as the library calls them. Where a
// schema has another one, as contains and unevaluatedProperties are, what it
// says is for the library to judge.
var known = []string{
	"Bool", "Types", "Enum", "Const", "Format",
	"MinLength", "MaxLength", "Pattern",
	"Minimum", "Maximum", "ExclusiveMinimum", "ExclusiveMaximum", "MultipleOf",
	"Properties", "PatternProperties", "AdditionalProperties", "Required", "MinProperties", "MaxProperties",
	"PrefixItems", "Items2020", "Items", "AdditionalItems", "MinItems", "MaxItems",
	"Ref", "AllOf", "AnyOf", "OneOf", "Not", "If", "Then", "Else",
}

// silent are those that by themselves want nothing of a value.
var silent = []string{
	"DraftVersion", "Location", "ID", "Anchor", "DynamicAnchor", "RecursiveAnchor",
	"Title", "Description", "Default", "Comment", "ReadOnly", "WriteOnly", "Examples", "Deprecated",
}

// holds reports whether rules hold all that s says.
func holds(s *jsonschema.Schema) bool {
	here := known
	if s.Ref != nil && s.DraftVersion < 2019 {
		here = []string{"Ref"} // what stands beside it is ignored, or not, as the library likes
	}
	v := reflect.ValueOf(s).Elem()
	for i := range v.NumField() {
		f := v.Type().Field(i)
		if f.IsExported() && !v.Field(i).IsZero() && !slices.Contains(here, f.Name) && !slices.Contains(silent, f.Name) {
			return false
		}
	}
	return true
}

// rule is what a schema wants of a value, in a form that a walk can hold
// against bytes. It is made of what the library made of the schema: drafts,
// references, expressions and formats are the library's. It does not change.
type rule struct {
	any   bool  // whatever there is fits
	ask   bool  // this is for the library to say
	bare  bool  // it wants nothing but what same says
	steps int64 // that its meter counts, beside members and items

	kinds     kinds
	constants []*constants // the value is in each
	text      *textRule    // these are nil where they want nothing
	number    *numberRule
	members   *memberRule
	items     *itemRule
	same      *sameRule
}

// textRule is what is wanted of a string.
type textRule struct {
	length  span
	pattern matcher           // nil: any
	format  func(v any) error // nil: any
}

// numberRule is what is wanted of a number.
type numberRule struct {
	bounds   []bound
	multiple *ratio // that it is of; nil: any
}

// memberRule is what is wanted of the members of an object.
type memberRule struct {
	count    span
	required int // how many of named are
	named    map[string]member
	few      []fewMember // the same, where there are not many: to hash a name takes longer than to look
	patterns []patternRule
	rest     *rule
}

type member struct {
	rule     *rule // nil: none of its own
	required bool
}

type fewMember struct {
	name string
	member
}

// of returns what is wanted of the member called name.
func (m *memberRule) of(name []byte) member {
	if m.few == nil {
		return m.named[string(name)]
	}
	for i := range m.few {
		if f := &m.few[i]; f.name == string(name) {
			return f.member
		}
	}
	return member{}
}

type patternRule struct {
	name matcher
	rule *rule
}

// itemRule is what is wanted of the items of an array.
type itemRule struct {
	count span
	first []*rule
	rest  *rule
}

// sameRule are other rules of the same value.
type sameRule struct {
	all             []*rule // what is referred to, too
	some, one       []*rule
	not             *rule // these are nil where there are none
	when, then, els *rule
}

// matcher is a regular expression.
type matcher interface{ Match(b []byte) bool }

// span bounds a count.
type span struct{ low, high int }

var anyCount = span{0, math.MaxInt}

func spanOf(low, high *int) span {
	s := anyCount
	if low != nil {
		s.low = *low
	}
	if high != nil {
		s.high = *high
	}
	return s
}

func (s span) holds(n int) bool { return s.low <= n && n <= s.high }

// kinds are types of JSON values.
type kinds uint8

const (
	kindNull kinds = 1 << iota
	kindBool
	kindWhole
	kindFraction
	kindText
	kindArray
	kindObject

	kindNumber = kindWhole | kindFraction
	nested     = kindArray | kindObject
	anyKind    = kindNull | kindBool | kindNumber | kindText | nested
)

var kindsOf = map[string]kinds{
	"null": kindNull, "boolean": kindBool, "integer": kindWhole, "number": kindNumber,
	"string": kindText, "array": kindArray, "object": kindObject,
}

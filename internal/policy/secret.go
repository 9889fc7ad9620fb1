package policy

import (
	"regexp"
	"strings"
	"unicode"

	"gopkg.in/yaml.v3"
)

// Secret is a text that must not stand in the file: it comes from a variable,
// and the file holds nothing but the variable's name. It is printed as it is
// written there, so that no output can tell it. The zero value is no secret.
type Secret struct{ value, written string }

// Value returns the secret itself.
func (s Secret) Value() string { return s.value }

// IsZero reports whether there is no secret.
func (s Secret) IsZero() bool { return s.value == "" }

// String returns s as it is written, such as ${NAME}.
func (s Secret) String() string { return s.written }

// GoString returns s as it is written.
func (s Secret) GoString() string { return s.written }

// MarshalYAML returns s as it is written.
func (s Secret) MarshalYAML() (any, error) {
	return &yaml.Node{Kind: yaml.ScalarNode, Tag: secretTag, Value: s.written}, nil
}

// UnmarshalText takes what a variable holds.
func (s *Secret) UnmarshalText(text []byte) error {
	s.value = string(text)
	return nil
}

// secretTag marks the one scalar whose dollars are written as they are.
const secretTag = "!secret"

// bare takes the mark from n, and reports whether it had one.
func bare(n *yaml.Node) bool {
	if n.Tag != secretTag {
		return false
	}
	n.Tag, n.Style = "!!str", 0
	return true
}

// A default would be a secret in the file, and so would text around the name.
var oneVariable = regexp.MustCompile(`^\$\{[A-Za-z_][A-Za-z0-9_]*(:-)?\}$`)

// secret reads a secret that is written so, and holds value.
func (w *walk) secret(path, written, value string, s *Secret) bool {
	if written != "" && !oneVariable.MatchString(written) {
		return w.refuse(path, "a secret must not stand in the policy file; write ${"+variableFor(path)+"}")
	}
	*s = Secret{}
	if value != "" {
		*s = Secret{value, written}
	}
	return true
}

// variableFor returns what a variable for the key at path may be called:
// ADMIN_TOKEN for server.adminToken.
func variableFor(path string) string {
	var name strings.Builder
	for _, c := range path[strings.LastIndexByte(path, '.')+1:] {
		if unicode.IsUpper(c) {
			name.WriteByte('_')
		}
		name.WriteRune(unicode.ToUpper(c))
	}
	return name.String()
}

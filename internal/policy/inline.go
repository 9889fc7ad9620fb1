package policy

import (
	"strings"

	"gopkg.in/yaml.v3"
)

// Inline returns config, a section of f, as YAML on one line, for people. What
// a variable holds may be a secret: it is shown as it is written.
func (f *File) Inline(config any) string {
	var n yaml.Node
	if err := n.Encode(config); err != nil {
		return err.Error()
	}
	f.origin().flow(&n)
	data, err := yaml.Marshal(&n)
	if err != nil {
		return err.Error()
	}
	// The encoder breaks long flows; a break and its indentation stand for a
	// space.
	return strings.Join(strings.Fields(string(data)), " ")
}

func (s *source) flow(n *yaml.Node) {
	if n.Kind == yaml.ScalarNode {
		n.Value = s.asWritten(n.Value)
	}
	bare(n)
	n.Style |= yaml.FlowStyle
	for _, child := range n.Content {
		s.flow(child)
	}
}

package policy

import (
	"strings"

	"gopkg.in/yaml.v3"
)

// Inline returns config, a section of File, as YAML on one line, for people.
func Inline(config any) string {
	var n yaml.Node
	if err := n.Encode(config); err != nil {
		return err.Error()
	}
	flow(&n)
	data, err := yaml.Marshal(&n)
	if err != nil {
		return err.Error()
	}
	// The encoder breaks long flows; a break and its indentation stand for a
	// space.
	return strings.Join(strings.Fields(string(data)), " ")
}

func flow(n *yaml.Node) {
	n.Style |= yaml.FlowStyle
	for _, child := range n.Content {
		flow(child)
	}
}

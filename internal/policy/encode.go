package policy

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
	"unicode"

	"gopkg.in/yaml.v3"
)

// Marshal returns f as YAML that parses to the same File, with what was not
// said and with what the variables held.
func (f *File) Marshal() ([]byte, error) {
	var doc yaml.Node
	if err := doc.Encode(f); err != nil {
		return nil, fmt.Errorf("writing the policy: %w", err)
	}
	escape(&doc, false)
	var out bytes.Buffer
	encoder := yaml.NewEncoder(&out)
	encoder.SetIndent(2)
	if err := encoder.Encode(&doc); err != nil {
		return nil, fmt.Errorf("writing the policy: %w", err)
	}
	return out.Bytes(), encoder.Close()
}

// escape writes the dollars of values so that they are no variables.
func escape(n *yaml.Node, key bool) {
	for i, child := range n.Content {
		escape(child, n.Kind == yaml.MappingNode && i%2 == 0)
	}
	if n.Kind != yaml.ScalarNode || bare(n) {
		return
	}
	if !key {
		n.Value = strings.ReplaceAll(n.Value, "$", "$$")
	}
	// Blocks lose some of the space at their edges when they are written, and
	// a plain << becomes a merge.
	if strings.ContainsFunc(n.Value, unicode.IsSpace) || n.Tag == "!!merge" {
		n.Style, n.Tag = yaml.DoubleQuotedStyle, "!!str"
	}
}

// Fingerprint returns a text that is equal for configs that differ in nothing
// but the lines where they stand. config is a section of File.
func Fingerprint(config any) string {
	data, err := yaml.Marshal(config)
	if err != nil {
		// Not a config from a file; being equal to nothing is safe.
		data = fmt.Appendf(nil, "%p %v", &data, err)
	}
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

package validation

import (
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// forRequests makes the schemas in tree, which is within doc, those of
// requests, in place: that a readOnly property is required takes effect on the
// response only (https://spec.openapis.org/oas/v3.0.4#schema-object).
func forRequests(doc, tree any) {
	switch node := tree.(type) {
	case []any:
		for _, item := range node {
			forRequests(doc, item)
		}
	case map[string]any:
		for _, item := range node {
			forRequests(doc, item)
		}
		names, _ := node["required"].([]any)
		properties, _ := node["properties"].(map[string]any)
		if names == nil || properties == nil {
			return
		}
		node["required"] = slices.DeleteFunc(names, func(name any) bool {
			text, _ := name.(string)
			return readOnly(doc, properties[text])
		})
	}
}

// readOnly reports whether schema says that it is, itself or by what it refers
// to.
func readOnly(doc, schema any) bool {
	for range 100 { // references may go in a circle
		node, _ := schema.(map[string]any)
		if node["readOnly"] == true {
			return true
		}
		ref, _ := node["$ref"].(string)
		pointer, local := strings.CutPrefix(ref, "#/")
		if !local {
			return false
		}
		schema = at(doc, pointer)
	}
	return false
}

var unescaper = strings.NewReplacer("~1", "/", "~0", "~")

// at returns what is in doc at a JSON Pointer as a URL has it, without its
// first slash; nil if nothing.
func at(doc any, pointer string) any {
	pointer, err := url.PathUnescape(pointer)
	if err != nil {
		return nil
	}
	for _, step := range strings.Split(pointer, "/") {
		switch node := doc.(type) {
		case map[string]any:
			doc = node[unescaper.Replace(step)]
		case []any:
			i, err := strconv.Atoi(step)
			if err != nil || i < 0 || i >= len(node) {
				return nil
			}
			doc = node[i]
		default:
			return nil
		}
	}
	return doc
}

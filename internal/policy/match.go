package policy

import (
	"net/http"
	"slices"
	"strings"
	"unicode"

	"sidecar/internal/exchange"
)

// covers reports whether every request that n matches is one that m matches.
// It may say no where the answer is yes, never the other way round.
func (m Match) covers(n Match) bool {
	return m.coversPath(n) && m.coversMethods(n) && m.coversHost(n) && m.coversHeaders(n)
}

func (m Match) coversPath(n Match) bool {
	switch {
	case m.Path != "":
		return n.Path == m.Path
	case m.PathPrefix == "":
		return true
	}
	path := n.Path + n.PathPrefix // one of them is empty
	return path == m.PathPrefix || strings.HasPrefix(path, strings.TrimSuffix(m.PathPrefix, "/")+"/")
}

func (m Match) coversMethods(n Match) bool {
	if len(m.Methods) == 0 {
		return true
	}
	for _, method := range n.Methods {
		if !slices.Contains(m.Methods, method) {
			return false
		}
	}
	return len(n.Methods) > 0
}

func (m Match) coversHost(n Match) bool {
	return m.Host == "" || exchange.NewHostPattern(m.Host).Covers(exchange.NewHostPattern(n.Host))
}

func (m Match) coversHeaders(n Match) bool {
	theirs := map[string]string{}
	for name, value := range n.Headers {
		theirs[http.CanonicalHeaderKey(name)] = value
	}
	for name, value := range m.Headers {
		got, ok := theirs[http.CanonicalHeaderKey(name)]
		if !ok || got != value && value != "*" {
			return false
		}
	}
	return true
}

// ambiguous returns the part of a decoded path for which strict refuses every
// request that has it, or nothing.
func ambiguous(path string) string {
	for _, part := range []string{"//", `\`} {
		if strings.Contains(path, part) {
			return part
		}
	}
	if i := strings.IndexFunc(path, unicode.IsControl); i >= 0 {
		return path[i : i+1]
	}
	for segment := range strings.SplitSeq(path, "/") {
		if segment == "." || segment == ".." {
			return segment
		}
	}
	for _, code := range []string{"%2f", "%5c", "%00"} {
		if strings.Contains(strings.ToLower(path), code) {
			return code
		}
	}
	return ""
}

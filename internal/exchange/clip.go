package exchange

import "strings"

// Clip returns a copy of text for those who keep it: it shares nothing with the
// request that text is a part of. Of a longer one there are the first limit
// bytes, as far as they are UTF-8, and three dots.
func Clip(text string, limit int) string {
	if len(text) > limit {
		return strings.ToValidUTF8(text[:limit], "") + "..."
	}
	return strings.Clone(text)
}

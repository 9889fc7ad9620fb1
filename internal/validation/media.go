package validation

import "strings"

// mediaRanges are the media types that are accepted.
type mediaRanges []mediaRange

// mediaRange is type/subtype; * stands for any.
type mediaRange struct{ typ, sub string }

func newMediaRanges(types []string) mediaRanges {
	var out mediaRanges
	for _, t := range types {
		typ, sub, _ := strings.Cut(strings.TrimSpace(t), "/")
		out = append(out, mediaRange{strings.ToLower(typ), strings.ToLower(sub)})
	}
	return out
}

// match reports whether the Content-Type fields say one accepted type. Several
// fields are none: the upstream might believe another of them than we do.
func (ms mediaRanges) match(fields []string) bool {
	if len(fields) != 1 {
		return false
	}
	// Parameters do not matter, nor does case (RFC 9110 section 8.3.1).
	media, _, _ := strings.Cut(fields[0], ";")
	typ, sub, ok := strings.Cut(strings.Trim(media, " \t"), "/")
	if !ok || typ == "" || sub == "" {
		return false
	}
	for _, m := range ms {
		if fits(m.typ, typ) && fits(m.sub, sub) {
			return true
		}
	}
	return false
}

// fits reports whether half of a type is want, or that is any. Most clients
// write it in lower case, as want is.
func fits(want, half string) bool {
	return want == half || want == "*" || strings.EqualFold(want, half)
}

// String returns the types as an Accept field lists them.
func (ms mediaRanges) String() string {
	list := make([]string, len(ms))
	for i, m := range ms {
		list[i] = m.typ + "/" + m.sub
	}
	return strings.Join(list, ", ")
}

// isJSON reports whether a Content-Type field says JSON (RFC 8259) or a type
// that is made of it (RFC 6839 section 3.1). The messages of a gRPC call may be
// JSON; its body is none.
func isJSON(field string) bool {
	media, _, _ := strings.Cut(field, ";")
	media = strings.ToLower(strings.Trim(media, " \t"))
	typ, sub, ok := strings.Cut(media, "/")
	if !ok || typ == "" || strings.HasPrefix(media, "application/grpc") {
		return false
	}
	return media == "application/json" || len(sub) > len("+json") && strings.HasSuffix(sub, "+json")
}

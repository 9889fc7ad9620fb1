package policy

// none is the name that switches a kind off.
const none = "none"

// IsZero reports whether nothing is said.
func (r Ref[C]) IsZero() bool { return !r.None && len(r.Names) == 0 && r.Inline == nil }

// MarshalYAML returns r as it is written in the file.
func (r Ref[C]) MarshalYAML() (any, error) {
	switch {
	case r.None:
		return none, nil
	case r.Inline != nil:
		return r.Inline, nil
	case len(r.Names) == 1:
		return r.Names[0], nil
	}
	return r.Names, nil
}

// isRef tells the walk what it has before it, whatever C is.
func (Ref[C]) isRef() {}

package exchange

// OneOrMore is a list of texts that the policy file may also write as one text.
type OneOrMore []string

// MarshalYAML returns o as it is written in the file: a list of one as its
// item.
func (o OneOrMore) MarshalYAML() (any, error) {
	if len(o) == 1 {
		return o[0], nil
	}
	return []string(o), nil
}

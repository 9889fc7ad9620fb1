package validation

// next goes over what stands between values and returns what comes.
func (w *walk) next() byte {
	for {
		switch c := w.data[w.at]; c {
		case ' ', '\t', '\r', '\n', ',', ':':
			w.at++
		default:
			return c
		}
	}
}

func (w *walk) kind() kinds {
	switch w.data[w.at] {
	case '{':
		return kindObject
	case '[':
		return kindArray
	case '"':
		return kindText
	case 't', 'f':
		return kindBool
	case 'n':
		return kindNull
	}
	return kindNumber
}

// skip goes over a value.
func (w *walk) skip() {
	w.count = 0
	switch w.kind() {
	case kindText:
		w.quoted()
	case kindArray, kindObject:
		w.skipNested()
	default:
		for ; w.at < len(w.data); w.at++ {
			switch w.data[w.at] {
			case ',', '}', ']', ' ', '\t', '\r', '\n':
				return
			}
		}
	}
}

// skipNested goes over an array or object. It may count one more than it has.
func (w *walk) skipNested() {
	count := 1
	for depth := 0; ; {
		switch w.data[w.at] {
		case '[', '{':
			depth++
		case ']', '}':
			depth--
		case ',':
			if depth == 1 {
				count++
			}
		case '"':
			w.quoted()
			continue
		}
		if w.at++; depth == 0 {
			w.count = count
			return
		}
	}
}

// quoted goes over a string and returns what is between its quotes.
func (w *walk) quoted() (s []byte, escaped bool) {
	from := w.at + 1
	for at := from; ; at++ {
		switch w.data[at] {
		case '"':
			w.at = at + 1
			return w.data[from:at], escaped
		case '\\':
			escaped = true
			at++
		}
	}
}

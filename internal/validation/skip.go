package validation

// next goes over what stands between values and returns what comes.
func (w *walk) next() byte {
	for between[w.data[w.at]] {
		w.at++
	}
	return w.data[w.at]
}

var between = [256]bool{' ': true, '\t': true, '\r': true, '\n': true, ',': true, ':': true}

func (w *walk) kind() kinds { return kindAt[w.data[w.at]] }

// kindAt is what a value is that begins with a byte.
var kindAt = [256]kinds{
	'{': kindObject, '[': kindArray, '"': kindText, 't': kindBool, 'f': kindBool, 'n': kindNull,
	'-': kindNumber, '0': kindNumber, '1': kindNumber, '2': kindNumber, '3': kindNumber, '4': kindNumber,
	'5': kindNumber, '6': kindNumber, '7': kindNumber, '8': kindNumber, '9': kindNumber,
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
	at := ordinary(w.data, from)
	for w.data[at] != '"' { // but an escape
		escaped = true
		at = ordinary(w.data, at+2)
	}
	w.at = at + 1
	return w.data[from:at], escaped
}

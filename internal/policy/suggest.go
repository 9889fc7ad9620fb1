package policy

import (
	"fmt"
	"strings"
	"unicode"

	"gopkg.in/yaml.v3"
)

// unknown notes a key that the section at path does not have. known are those
// that it has. The value is never shown: it may be a secret.
func (w *walk) unknown(key, value *yaml.Node, path string, known []string) {
	text := "unknown key"
	if meant := nearest(key.Value, known); meant != "" {
		text += fmt.Sprintf("; did you mean %s?", meant)
		w.unread(join(path, meant))
	} else if value.Kind == yaml.ScalarNode && smellsOfSecret(key.Value) {
		text += "; a secret must not stand in the policy file"
		files := secretFiles(key.Value, known)
		if len(files) > 0 {
			text += ": name a file that holds it, with " + strings.Join(files, " or ")
		}
		for _, file := range files {
			w.unread(join(path, file))
		}
	} else {
		text += "; the keys here are " + strings.Join(known, ", ")
	}
	w.reportAt(key, join(path, segment(key.Value)), text)
}

// smellsOfSecret reports whether a key is what a secret goes by.
func smellsOfSecret(key string) bool {
	key = folded(key)
	for _, word := range []string{
		"secret", "password", "passwd", "passphrase", "token", "credential", "apikey", "privatekey", "publickey",
	} {
		if strings.Contains(key, word) {
			return true
		}
	}
	return false
}

// secretFiles returns those of known that name a file: the one for key if
// there is one, else all.
func secretFiles(key string, known []string) []string {
	var files []string
	for _, k := range known {
		stem, ok := strings.CutSuffix(k, "File")
		if ok && strings.Contains(folded(key), folded(stem)) {
			return []string{k}
		}
		if ok {
			files = append(files, k)
		}
	}
	return files
}

// nearest returns the word that was probably meant, or nothing.
func nearest(word string, known []string) string {
	best, least := "", (len(word)+1)/3+1
	for _, k := range known {
		if d := distance(folded(word), folded(k)); d < least {
			best, least = k, d
		}
	}
	return best
}

// folded returns word without what tells maxAttempts, max_attempts and
// max-attempts apart.
func folded(word string) string {
	return strings.Map(func(r rune) rune {
		if r == '_' || r == '-' || r == ' ' {
			return -1
		}
		return unicode.ToLower(r)
	}, word)
}

// distance returns how many letters must be put in, taken out, replaced or
// swapped with their neighbour to make a into b ("optimal string alignment").
func distance(a, b string) int {
	const tooLong = 64
	if len(a) > tooLong || len(b) > tooLong {
		return len(a) + len(b)
	}
	before, above, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range above {
		above[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			row[j] = min(above[j]+1, row[j-1]+1, above[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, above, row = above, row, before
	}
	return above[len(b)]
}

package validation

import (
	"fmt"
	"maps"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"sidecar/internal/exchange"
)

// queryRules are Query, made ready.
type queryRules struct {
	require   []string
	deny      []string
	patterns  []queryPattern
	maxLength []queryLength
}

type queryPattern struct {
	name string
	re   *regexp.Regexp
}

type queryLength struct {
	name string
	most int
}

// newQueryRules returns nil where there is no rule.
func newQueryRules(c Query) *queryRules {
	if c.IsZero() {
		return nil
	}
	q := &queryRules{require: slices.Clone(c.Require), deny: slices.Clone(c.Deny)}
	for _, name := range slices.Sorted(maps.Keys(c.Pattern)) {
		q.patterns = append(q.patterns, queryPattern{name, regexp.MustCompile(c.Pattern[name])})
	}
	for _, name := range slices.Sorted(maps.Keys(c.MaxLength)) {
		q.maxLength = append(q.maxLength, queryLength{name, c.MaxLength[name]})
	}
	return q
}

// check says what is wrong with the query; "" is nothing. It holds no value of
// the client's.
func (q *queryRules) check(query url.Values) string {
	for _, name := range q.require {
		if !query.Has(name) {
			return name + " is required"
		}
	}
	for _, name := range q.deny {
		if query.Has(name) {
			return name + " is not allowed"
		}
	}
	for _, l := range q.maxLength {
		for _, value := range query[l.name] {
			if len(value) > l.most {
				return fmt.Sprintf("%s is longer than %d bytes", l.name, l.most)
			}
		}
	}
	for _, p := range q.patterns {
		for _, value := range query[p.name] {
			if !p.re.MatchString(value) {
				return fmt.Sprintf("%s does not match %s", p.name, p.re)
			}
		}
	}
	return ""
}

// parseQuery reads a query as a form (https://url.spec.whatwg.org/#urlencoded-parsing),
// and refuses what servers read in different ways: net/url would leave it out.
func parseQuery(raw string) (url.Values, error) {
	query := url.Values{}
	for pair := range strings.SplitSeq(raw, "&") {
		if pair == "" {
			continue
		}
		if strings.Contains(pair, ";") {
			return nil, fmt.Errorf("a semicolon is written %%3B") // some take it for an ampersand
		}
		key, value, _ := strings.Cut(pair, "=")
		key, err := unescape(key)
		if err == nil {
			value, err = unescape(value)
		}
		if err != nil {
			return nil, err
		}
		query[key] = append(query[key], value)
	}
	return query, nil
}

func unescape(s string) (string, error) {
	text, err := url.QueryUnescape(s)
	if err != nil {
		return "", fmt.Errorf("a %% is followed by two hexadecimal digits")
	}
	if !utf8.ValidString(text) {
		return "", fmt.Errorf("it is not UTF-8")
	}
	return text, nil
}

// query returns the query of a request by name, or a refusal.
func (v *Validation) query(raw string) (url.Values, error) {
	query, err := parseQuery(raw)
	if err != nil {
		return nil, v.refuse(exchange.QueryInvalid, err.Error(), "", "")
	}
	if v.queryRules != nil {
		if problem := v.queryRules.check(query); problem != "" {
			return nil, v.refuse(exchange.QueryInvalid, problem, "", "")
		}
	}
	return query, nil
}

package exchange

import (
	"math"
	"reflect"
	"testing"
	"time"
)

func TestConfigHelpers(t *testing.T) {
	tests := []struct {
		name  string
		check func(Report)
		want  []string
	}{
		{"the least", func(r Report) { Range(r, "n", 1, 1, 10) }, nil},
		{"the most", func(r Report) { Range(r, "n", 10, 1, 10) }, nil},
		{"less", func(r Report) { Range(r, "n", 0, 1, 10) }, []string{"n: must be 1 to 10, got 0"}},
		{"more", func(r Report) { Range(r, "n", 11, 1, 10) }, []string{"n: must be 1 to 10, got 11"}},
		{"a fraction", func(r Report) { Range(r, "p", 0.5, 0, 100) }, nil},
		{"a fraction too many", func(r Report) { Range(r, "p", 100.5, 0, 100) }, []string{"p: must be 0 to 100, got 100.5"}},
		{"no number", func(r Report) { Range(r, "p", math.NaN(), 0, 100) }, []string{"p: must be 0 to 100, got NaN"}},

		{"long enough", func(r Report) { Between(r, "d", time.Second, time.Second, time.Hour) }, nil},
		{"not too long", func(r Report) { Between(r, "d", time.Hour, time.Second, time.Hour) }, nil},
		{
			"too short", func(r Report) { Between(r, "openFor.base", time.Millisecond, time.Second, time.Hour) },
			[]string{"openFor.base: must be 1s to 1h0m0s, got 1ms"},
		},
		{
			"too long", func(r Report) { Between(r, "d", time.Hour+1, time.Second, time.Hour) },
			[]string{"d: must be 1s to 1h0m0s, got 1h0m0.000000001s"},
		},

		{"one of the words", func(r Report) { OneOf(r, "scope", "route", "upstream", "route") }, nil},
		{
			"another word", func(r Report) { OneOf(r, "scope", "Route", "upstream", "route") },
			[]string{`scope: must be one of [upstream route], got "Route"`},
		},

		{"methods", func(r Report) { Methods(r, "methods", []string{"GET", "M-SEARCH", "PROPFIND"}) }, nil},
		{"no methods", func(r Report) { Methods(r, "methods", nil) }, nil},
		{
			"each bad method", func(r Report) {
				Methods(r, "methods", []string{"get", "GET", "", "GET /", "CONNECT", "TRACE", "GÄT"})
			},
			[]string{
				`methods[0]: must be an HTTP method in capitals, got "get"`,
				`methods[2]: must be an HTTP method in capitals, got ""`,
				`methods[3]: must be an HTTP method in capitals, got "GET /"`,
				"methods[4]: CONNECT is never forwarded",
				"methods[5]: TRACE is never forwarded",
				`methods[6]: must be an HTTP method in capitals, got "GÄT"`,
			},
		},

		{"a header", func(r Report) { HeaderName(r, "h", "X-Drill") }, nil},
		{"a header of all that is allowed", func(r Report) { HeaderName(r, "h", "!#$%&'*+-.^_`|~aZ09") }, nil},
	}
	for _, name := range []string{"", "X Drill", "X:", "X\n", "X(", "X\"", "X,", "X/", "X;", "X=", "X@", "X[", "X{", "X\x7f", "Ü"} {
		if got := problems(func(r Report) { HeaderName(r, "h", name) }); len(got) != 1 {
			t.Errorf("the header name %q has the problems %q, want one", name, got)
		}
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := problems(tt.check); !reflect.DeepEqual(got, tt.want) {
				t.Errorf("problems %q, want %q", got, tt.want)
			}
		})
	}
}

func problems(check func(Report)) (all []string) {
	check(func(field, problem string) { all = append(all, (&FieldError{field, problem}).Error()) })
	return all
}

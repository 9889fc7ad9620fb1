package validation

import (
	"strings"
	"testing"
)

const searches = `
info: {title: Searches, version: "1"}
paths:
  /search/{page}:
    get:
      parameters:
        - {name: page, in: path, required: true, schema: {type: integer}}
        - {name: all, in: query, schema: {type: boolean}}
        - {name: n, in: query, schema: {type: integer}}
        - {name: price, in: query, schema: {type: number}}
        - {name: each, in: query, schema: {type: array, items: {type: integer}}}
        - {name: list, in: query, explode: false, schema: {type: array, items: {type: integer}}}
        - {name: text, in: query, schema: {type: string}}
        - {name: X-Dry-Run, in: header, schema: {type: boolean}}
        - {name: deep, in: cookie, schema: {type: boolean}}
      responses: {"200": {description: ok}}
`

func TestParametersAreWrittenAsInJSON(t *testing.T) {
	const boolean, integer = " must be of type boolean as JSON writes it", " must be of type integer as JSON writes it"
	tests := []struct{ line, field, want string }{
		{line: "GET /search/10?all=true&n=-10&price=-1.5e3&each=0&each=10&list=1,20&text=01", field: "X-Dry-Run: false"},
		{line: "GET /search/0?all=false&n=0&price=0.5&text=T", field: "Cookie: deep=true"},
		{line: "GET /search/01", want: "path page:" + integer},
		{line: "GET /search/1?all=1", want: "query all:" + boolean},
		{line: "GET /search/1?all=T", want: "query all:" + boolean},
		{line: "GET /search/1?all=TRUE", want: "query all:" + boolean},
		{line: "GET /search/1?all=0", want: "query all:" + boolean},
		{line: "GET /search/1?n=01", want: "query n:" + integer},
		{line: "GET /search/1?n=%2B1", want: "query n:" + integer},
		{line: "GET /search/1?price=0x1p3", want: "query price: must be of type number as JSON writes it"},
		{line: "GET /search/1?price=.5", want: "query price: must be of type number as JSON writes it"},
		{line: "GET /search/1?each=1&each=02", want: "query each:" + integer},
		{line: "GET /search/1?list=1,02", want: "query list:" + integer},
		{line: "GET /search/1", field: "X-Dry-Run: t", want: "header X-Dry-Run:" + boolean},
		{line: "GET /search/1", field: "Cookie: deep=1", want: "cookie deep:" + boolean},
	}
	for _, version := range []string{"3.0.3", "3.1.0"} {
		v := described(t, "openapi: "+version+searches)
		for _, tt := range tests {
			t.Run(version+" "+tt.line+" "+tt.field, func(t *testing.T) {
				var fields []string
				if tt.field != "" {
					fields = []string{tt.field}
				}
				f := refused(t, v.Check(request(tt.line, "", fields...)))
				if got := strings.Join(told(f), "\n"); got != tt.want {
					t.Errorf("errors = %q, want %q", got, tt.want)
				}
			})
		}
	}
}

package validation

import (
	"net/url"
	"reflect"
	"testing"

	"sidecar/internal/exchange"
)

func TestQuery(t *testing.T) {
	v := policy(func(c *Config) {
		c.Query = Query{
			Require: []string{"tenant"}, Deny: []string{"debug"},
			Pattern: map[string]string{"page": "^[0-9]+$"}, MaxLength: map[string]int{"q": 4},
		}
	})
	const allow, deny = exchange.Reason(""), exchange.QueryInvalid
	tests := []struct {
		name, query string
		want        exchange.Reason
	}{
		{"what is required", "tenant=a", allow},
		{"what is required, without a value", "tenant", allow},
		{"a page", "tenant=a&page=12", allow},
		{"a page, encoded", "tenant=a&page=%31", allow},
		{"empty pairs", "&&tenant=a&", allow},
		{"names have a case", "tenant=a&DEBUG=1", allow},
		{"as long as may be", "tenant=a&q=%c3%a9%c3%a9", allow},
		{"other names", "tenant=a&other=x%20y+z", allow},

		{"nothing", "", deny},
		{"another case", "Tenant=a", deny},
		{"what is denied", "tenant=a&debug=1", deny},
		{"what is denied, without a value", "tenant=a&debug", deny},
		{"what is denied, encoded", "tenant=a&%64ebug=1", deny},
		{"what does not match", "tenant=a&page=x", deny},
		{"an empty value does not match", "tenant=a&page=", deny},
		{"every value must match", "tenant=a&page=1&page=x", deny},
		{"every value must match, in any order", "tenant=a&page=x&page=1", deny},
		{"the pattern is anchored as written", "tenant=a&page=1%0A", deny},
		{"too long", "tenant=a&q=12345", deny},
		{"too long, the second", "tenant=a&q=1&q=12345", deny},
		{"a bad encoding", "tenant=a&x=%zz", deny},
		{"half an encoding", "tenant=a&x=%4", deny},
		{"a bad encoding in a name", "tenant=a&%zz=1", deny},
		{"a semicolon hides what is denied", "tenant=a;debug=1", deny},
		{"what is not UTF-8", "tenant=a&x=%ff", deny},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			check(t, v.Check(request("GET /a?"+tt.query, "")), tt.want, "")
		})
	}
}

func TestWithoutRulesAQueryIsNotRead(t *testing.T) {
	check(t, policy(func(*Config) {}).Check(request("GET /a?x=%zz;", "")), "", "")
}

// FuzzQuery finds queries that net/url reads in another way than we do; what it
// would leave out must be refused.
func FuzzQuery(f *testing.F) {
	for _, query := range []string{"a=b&c", "a=1&a=2", "%61=+%2B", "a;b=c", "a=%", "&=&", "a=%ff"} {
		f.Add(query)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		got, err := parseQuery(raw)
		want, wrong := url.ParseQuery(raw)
		if wrong != nil && err == nil {
			t.Fatalf("parseQuery(%q) = %v, net/url says %v", raw, got, wrong)
		}
		if err == nil && !reflect.DeepEqual(got, want) {
			t.Errorf("parseQuery(%q) = %v, net/url %v", raw, got, want)
		}
	})
}

package validation

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"sidecar/internal/exchange"
)

// described returns the policy of an OpenAPI description.
func described(t *testing.T, text string) *Validation {
	t.Helper()
	c := Config{}
	c.SetDefaults()
	c.OpenAPIFile = "openapi.yaml"
	v, err := New("api", c, func(string) ([]byte, error) { return []byte(text), nil }, NewBuffers(c))
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func refused(t *testing.T, err error) *exchange.Refusal {
	t.Helper()
	var f *exchange.Refusal
	if err != nil && !errors.As(err, &f) {
		t.Fatalf("Check() = %v, want nil or a refusal", err)
	}
	return f
}

const things = `
info: {title: Things, version: "1"}
paths:
  /things:
    post:
      requestBody: {required: true, content: {application/json: {schema: {$ref: "#/components/schemas/Thing"}}}}
      responses: {"201": {description: made}}
  /only:
    post:
      requestBody: {content: {application/json: {schema: {type: object, required: [id], properties: {id: {type: integer, readOnly: true}}}}}}
      responses: {"201": {description: made}}
components:
  schemas:
    ID: {$ref: "#/paths/~1only/post/requestBody/content/application~1json/schema/properties/id"}
    Thing:
      type: object
      required: [id, ref, n]
      properties:
        id: {type: integer, readOnly: true}
        ref: {$ref: "#/components/schemas/ID"}
        n: {type: string}
        required: {type: object, required: [required], properties: {required: {type: string}}}
        parts: {type: array, items: {$ref: "#/components/schemas/Thing"}}
`

func TestAReadOnlyPropertyIsRequiredOfResponsesOnly(t *testing.T) {
	tests := []struct {
		name, line, body string
		want             []string
	}{
		{"without it", "POST /things", `{"n":"a"}`, nil},
		{"with it", "POST /things", `{"n":"a","id":1}`, nil},
		{"with a wrong one", "POST /things", `{"n":"a","ref":"x"}`, []string{"/ref: must be of type integer"}},
		{"further down", "POST /things", `{"n":"a","parts":[{"n":"b"}]}`, nil},
		{"where nothing else is required", "POST /only", `{}`, nil},
		{"others are required", "POST /things", `{"parts":[{}]}`, []string{": must have n", "/parts/0: must have n"}},
		{"a property called required", "POST /things", `{"n":"a","required":{}}`, []string{"/required: must have required"}},
	}
	for _, version := range []string{"3.0.3", "3.1.0"} {
		v := described(t, "openapi: "+version+things)
		for _, tt := range tests {
			t.Run(version+" "+tt.name, func(t *testing.T) {
				f := refused(t, v.Check(request(tt.line, tt.body, isJSONType)))
				if diff := cmp.Diff(tt.want, told(f)); diff != "" {
					t.Errorf("errors (-want +got):\n%s", diff)
				}
			})
		}
	}
}

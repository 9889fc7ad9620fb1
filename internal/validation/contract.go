package validation

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/gorillamux"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"sidecar/internal/exchange"
)

// contract is an OpenAPI description. It is safe for concurrent use.
type contract struct {
	router  routers.Router
	schemas map[*openapi3.MediaType]*schema
}

// newContract returns the description in data.
func newContract(data []byte) (*contract, error) {
	loader := openapi3.NewLoader() // which reads no other file
	doc, err := loader.LoadFromData(data)
	if err != nil {
		return nil, fmt.Errorf("must be an OpenAPI description: %s", line(err))
	}
	if !strings.HasPrefix(doc.OpenAPI, "3.0") && !strings.HasPrefix(doc.OpenAPI, "3.1") {
		return nil, fmt.Errorf("must be of OpenAPI 3.0 or 3.1, got %q", doc.OpenAPI)
	}
	if err := doc.Validate(context.Background(), openapi3.DisableExamplesValidation()); err != nil {
		return nil, fmt.Errorf("must be an OpenAPI description: %s", line(err))
	}
	base, err := doc.Servers.BasePath()
	if err != nil {
		return nil, fmt.Errorf("must name a server by its URL: %s", line(err))
	}
	serve(doc, strings.TrimSuffix(base, "/"))
	c := &contract{}
	if c.router, err = gorillamux.NewRouter(doc); err != nil {
		return nil, fmt.Errorf("must have paths that can be matched: %s", line(err))
	}
	c.schemas, err = mediaSchemas(doc)
	return c, err
}

func line(err error) string { return strings.Join(strings.Fields(err.Error()), " ") }

// serve makes doc that of one server, whatever its host: ours.
func serve(doc *openapi3.T, base string) {
	doc.Servers = nil
	if base != "" {
		doc.Servers = openapi3.Servers{{URL: base}}
	}
	for _, item := range doc.Paths.Map() {
		item.Servers = nil
		for _, op := range item.Operations() {
			op.Servers = nil
		}
	}
}

// mediaSchemas returns the schemas of all bodies in doc, and of the parameters
// that are texts of a media type. They are compiled
// from its text, once: the library would do it for every request, or check
// less than the schema says.
func mediaSchemas(doc *openapi3.T) (map[*openapi3.MediaType]*schema, error) {
	text, err := json.Marshal(doc)
	if err != nil {
		return nil, err
	}
	tree, err := jsonschema.UnmarshalJSON(strings.NewReader(string(text)))
	if err != nil {
		return nil, err
	}
	forRequests(tree, tree)
	draft := jsonschema.Draft2020
	if strings.HasPrefix(doc.OpenAPI, "3.0") {
		draft = jsonschema.Draft4
		asDraft4(tree)
	}
	all, what := map[*openapi3.MediaType]*schema{}, map[string]string{}
	add := func(content openapi3.Content, at, name string) {
		for kind, media := range content {
			if media.Schema != nil && all[media] == nil {
				s := &schema{pointer: at + "/content/" + step(kind) + "/schema"}
				all[media], what[s.pointer] = s, name
			}
		}
	}
	for path, item := range doc.Paths.Map() {
		at := fragment(item.Ref, "/paths/"+step(path))
		addParameters(add, item.Parameters, at, path+": ")
		for method, op := range item.Operations() {
			at, name := at+"/"+strings.ToLower(method), method+" "+path+": "
			addParameters(add, op.Parameters, at, name)
			if body := op.RequestBody; body != nil && body.Value != nil {
				add(body.Value.Content, fragment(body.Ref, at+"/requestBody"), name)
			}
		}
	}
	compiled, err := newCopies(source{tree, place, draft, newLibrary(tree, nil)}, what)
	for _, s := range all {
		s.copies = compiled
	}
	return all, err
}

// addParameters adds those that are texts of a media type.
func addParameters(add func(content openapi3.Content, at, name string), all openapi3.Parameters, at, name string) {
	for i, p := range all {
		add(p.Value.Content, fragment(p.Ref, fmt.Sprintf("%s/parameters/%d", at, i)), name)
	}
}

// fragment returns the JSON Pointer in ref, or where there is none, at.
func fragment(ref, at string) string {
	if _, pointer, ok := strings.Cut(ref, "#"); ok {
		return pointer
	}
	return at
}

// asDraft4 makes the schemas of OpenAPI 3.0 those of the draft that they were
// derived from (https://spec.openapis.org/oas/v3.0.4#schema-object), in place.
func asDraft4(tree any) {
	switch node := tree.(type) {
	case []any:
		for _, item := range node {
			asDraft4(item)
		}
	case map[string]any:
		for _, item := range node {
			asDraft4(item)
		}
		if kind, ok := node["type"].(string); ok && node["nullable"] == true {
			node["type"] = []any{kind, "null"}
			if values, ok := node["enum"].([]any); ok && !slices.Contains(values, nil) {
				node["enum"] = append(values, nil)
			}
		}
		if names, ok := node["required"].([]any); ok && len(names) == 0 {
			delete(node, "required")
		}
	}
}

// operation is what a request asks for.
type operation struct {
	*routers.Route
	schemas map[*openapi3.MediaType]*schema
	params  map[string]string // of the path
}

// find returns the operation that r asks for. HEAD is GET where the
// description does not say otherwise. Nil: there is none, and allowed are the
// methods that the path has; none: it is not known.
func (c *contract) find(r *http.Request) (op *operation, allowed []string) {
	op, err := c.route(r, r.Method)
	if err != nil && r.Method == http.MethodHead {
		op, err = c.route(r, http.MethodGet)
	}
	if err == nil {
		return op, nil
	}
	if !errors.Is(err, routers.ErrMethodNotAllowed) {
		return nil, nil
	}
	for _, method := range []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"} {
		if _, err := c.route(r, method); err == nil || method == "HEAD" && slices.Contains(allowed, "GET") {
			allowed = append(allowed, method)
		}
	}
	return nil, allowed
}

func (c *contract) route(r *http.Request, method string) (*operation, error) {
	route, params, err := c.router.FindRoute(&http.Request{Method: method, URL: r.URL, Host: r.Host, Header: r.Header})
	if err != nil {
		return nil, err
	}
	for name, value := range params { // as the path spells it
		if params[name], err = url.PathUnescape(value); err != nil {
			return nil, err
		}
	}
	return &operation{Route: route, params: params, schemas: c.schemas}, nil
}

// parameters are those of the operation and of its path, by place and name.
func (o *operation) parameters() []*openapi3.Parameter {
	all := map[string]*openapi3.Parameter{}
	for _, list := range []openapi3.Parameters{o.PathItem.Parameters, o.Operation.Parameters} {
		for _, p := range list {
			all[p.Value.In+" "+p.Value.Name] = p.Value
		}
	}
	var sorted []*openapi3.Parameter
	for _, key := range slices.Sorted(maps.Keys(all)) {
		sorted = append(sorted, all[key])
	}
	return sorted
}

// media returns the description of the body of r. It is not ok if r must not
// have this one; accept are the types that it may have, if any.
func (o *operation) media(r *http.Request) (media *openapi3.MediaType, accept string, ok bool) {
	if o.Operation.RequestBody == nil {
		return nil, "", false
	}
	content := o.Operation.RequestBody.Value.Content
	if len(content) == 0 {
		return nil, "", true
	}
	accept = strings.Join(slices.Sorted(maps.Keys(content)), ", ")
	if fields := r.Header["Content-Type"]; len(fields) == 1 {
		media = content.Get(fields[0])
	}
	return media, accept, media != nil
}

// bodyRequired reports whether r must have a body.
func (o *operation) bodyRequired() bool {
	return o.Operation.RequestBody != nil && o.Operation.RequestBody.Value.Required
}

// parameterProblems returns what is wrong with the parameters of r.
func (v *Validation) parameterProblems(o *operation, r *http.Request, query url.Values) []exchange.Violation {
	var all []exchange.Violation
	for _, p := range o.parameters() {
		detail := o.problem(r, query, p)
		if s, text := o.jsonText(r, query, p); s != nil && detail == "" {
			detail = v.textProblem(text, s)
		}
		if detail != "" {
			all = append(all, exchange.Violation{In: p.In, Name: p.Name, Detail: detail})
		}
	}
	return all
}

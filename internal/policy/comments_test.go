package policy

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"
)

// comments are the doc comments of structs and their fields, by type and by
// type and field ("retry.Config", "retry.Config.Backoff"). They are read from
// the sources, a package at a time.
type comments map[string]string

// section returns what the comment of t says.
func (c comments) section(t *testing.T, typ reflect.Type) string {
	c.read(t, typ)
	doc := asKeys(c[typ.String()], typ)
	if rest, ok := strings.CutPrefix(doc, typ.Name()+" "); ok && !subject.MatchString(doc) {
		return fmt.Sprintf("`%s` %s", strings.ToLower(typ.Name()[:1])+typ.Name()[1:], rest)
	}
	return subject.ReplaceAllString(doc, "")
}

// key returns what the comment of the field f of typ says of the key.
func (c comments) key(t *testing.T, typ reflect.Type, f field) string {
	field := typ.FieldByIndex(f.index)
	owner := typ
	if n := len(f.index); n > 1 {
		owner = typ.FieldByIndex(f.index[:n-1]).Type
	}
	c.read(t, owner)
	doc := asKeys(c[owner.String()+"."+field.Name], owner, field.Type)
	if strings.HasPrefix(doc, "`"+f.key+"` and ") {
		return doc
	}
	return strings.TrimPrefix(predicate.ReplaceAllString(doc, ""), "`"+f.key+"` ")
}

// What a comment begins with says less where the key stands beside it.
var (
	subject   = regexp.MustCompile("^(`[a-z]\\w*`|\\w+) (is|are) ")
	predicate = regexp.MustCompile("^`[a-z]\\w*`(:| is| are) ")
)

// asKeys returns a comment with the names of fields as the keys they are.
func asKeys(doc string, types ...reflect.Type) string {
	keys := map[string]string{}
	for _, t := range types {
		if t.Kind() == reflect.Pointer {
			t = t.Elem()
		}
		if t.Kind() != reflect.Struct {
			continue
		}
		for _, f := range fieldsOf(t) {
			keys[t.FieldByIndex(f.index).Name] = f.key
			if strings.ToLower(f.key) != f.key { // no word of English
				keys[f.key] = f.key
			}
		}
	}
	return regexp.MustCompile(`\b\w+\b`).ReplaceAllStringFunc(doc, func(word string) string {
		if key, ok := keys[word]; ok {
			return "`" + key + "`"
		}
		return word
	})
}

// read takes in the package of typ.
func (c comments) read(t *testing.T, typ reflect.Type) {
	t.Helper()
	name := filepath.Base(typ.PkgPath())
	if _, done := c[name]; done || name == "." {
		return
	}
	c[name] = ""
	sources, err := filepath.Glob(filepath.Join("..", name, "*.go"))
	if err != nil || len(sources) == 0 {
		t.Fatalf("package %s has no sources: %v", name, err)
	}
	for _, source := range sources {
		if strings.HasSuffix(source, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(token.NewFileSet(), source, nil, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		c.file(name, f)
	}
}

func (c comments) file(pkg string, f *ast.File) {
	for _, decl := range f.Decls {
		group, ok := decl.(*ast.GenDecl)
		if !ok || group.Tok != token.TYPE {
			continue
		}
		for _, s := range group.Specs {
			spec := s.(*ast.TypeSpec)
			name := fmt.Sprintf("%s.%s", pkg, spec.Name.Name)
			c[name] = sentence(group.Doc)
			if fields, ok := spec.Type.(*ast.StructType); ok {
				c.fields(name, fields.Fields.List)
			}
		}
	}
}

// fields takes in the comments of fields. One without a comment has that of
// the field before it, if that speaks of both.
func (c comments) fields(owner string, list []*ast.Field) {
	before := ""
	for _, f := range list {
		for _, name := range f.Names {
			doc := sentence(f.Doc)
			if doc == "" && regexp.MustCompile(`\b`+name.Name+`\b`).MatchString(before) {
				doc = before
			}
			c[owner+"."+name.Name], before = doc, doc
		}
	}
}

// sentence returns a comment on one line.
func sentence(c *ast.CommentGroup) string { return strings.Join(strings.Fields(c.Text()), " ") }

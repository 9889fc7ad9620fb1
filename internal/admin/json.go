package admin

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"reflect"
	"strings"

	"sidecar/internal/exchange"
)

// maxBody is far above any change that makes sense.
const maxBody = 64 << 10

// reply writes v as the answer.
func reply(w http.ResponseWriter, status int, v any) {
	body, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		fail(w, http.StatusInternalServerError, err.Error())
		return
	}
	write(w, status, "application/json", body)
}

// problem is a problem document (RFC 9457).
type problem struct {
	Type   string `json:"type"`
	Title  string `json:"title"`
	Status int    `json:"status"`
	Detail string `json:"detail"`
}

func newProblem(status int, detail string) problem {
	return problem{"about:blank", http.StatusText(status), status, detail}
}

// fail writes what is wrong as a problem document.
func fail(w http.ResponseWriter, status int, detail string) {
	failWith(w, status, newProblem(status, detail))
}

// failWith writes doc, which is a problem and more.
func failWith(w http.ResponseWriter, status int, doc any) {
	body, _ := json.MarshalIndent(doc, "", "  ") // strings and numbers always marshal
	write(w, status, "application/problem+json", body)
}

func write(w http.ResponseWriter, status int, contentType string, body []byte) {
	h := w.Header()
	h.Set("Content-Type", contentType)
	h.Set("Cache-Control", "no-store")         // it is true now, and no longer
	h.Set("X-Content-Type-Options", "nosniff") // what people chose, such as a name, is no HTML
	w.WriteHeader(status)
	_, _ = w.Write(append(body, '\n')) // a client that has left needs no answer
}

// failBody answers a body that is not what it should be, as err says.
func failBody(w http.ResponseWriter, err error) {
	status := http.StatusBadRequest
	var tooLarge *http.MaxBytesError
	if errors.As(err, &tooLarge) {
		status = http.StatusRequestEntityTooLarge
	}
	if errors.Is(err, exchange.ErrUnheard) {
		status = http.StatusServiceUnavailable
	}
	fail(w, status, err.Error())
}

// decode reads the body of r into v: one JSON object with known keys, or
// nothing. Its error names the field.
func decode(w http.ResponseWriter, r *http.Request, v any) error {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		return fmt.Errorf("reading the body of at most %d bytes: %w", maxBody, err)
	}
	body = bytes.TrimSpace(body)
	if len(body) == 0 {
		return nil
	}
	dec := json.NewDecoder(bytes.NewReader(body))
	dec.DisallowUnknownFields()
	if err := dec.Decode(v); err != nil {
		return explain(err)
	}
	if body[0] != '{' { // null is nothing to the decoder, whatever it is to decode into
		return errors.New("the body must be one JSON object")
	}
	if dec.InputOffset() < int64(len(body)) {
		return errors.New("the body must be one JSON object, and holds more")
	}
	return nil
}

func explain(err error) error {
	var wrongType *json.UnmarshalTypeError
	var syntax *json.SyntaxError
	switch {
	case errors.As(err, &wrongType) && wrongType.Field == "":
		return errors.New("the body must be one JSON object")
	case errors.As(err, &wrongType):
		return fmt.Errorf("%s: must be %s, got %s", wrongType.Field, wanted(wrongType.Type), found(wrongType.Value))
	case errors.As(err, &syntax):
		return fmt.Errorf("the body is not JSON at byte %d: %w", syntax.Offset, err)
	case errors.Is(err, io.ErrUnexpectedEOF):
		return errors.New("the body ends within its JSON")
	}
	return errors.New(strings.TrimPrefix(err.Error(), "json: "))
}

// wanted says in JSON's words what a Go type takes.
func wanted(t reflect.Type) string {
	switch t.Kind() {
	case reflect.Pointer:
		return wanted(t.Elem())
	case reflect.String:
		return "a string"
	case reflect.Slice:
		return "a list"
	case reflect.Struct, reflect.Map:
		return "an object"
	case reflect.Float64:
		return "a number"
	case reflect.Bool:
		return "true or false"
	}
	return "a whole number"
}

// found says what encoding/json met: bool, string, array, object, or number,
// at times with its digits.
func found(value string) string {
	switch value {
	case "array":
		return "a list"
	case "object":
		return "an object"
	case "bool":
		return "true or false"
	case "string", "number":
		return "a " + value
	}
	return strings.TrimPrefix(value, "number ")
}

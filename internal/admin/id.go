package admin

import (
	"context"
	"net/http"

	"sidecar/internal/exchange"
)

// identified gives each request an id, which its answer tells, and the log and
// the audit with it. One that the client chose is not taken: it could be that
// of another request.
func identified(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		id := exchange.NewID()
		w.Header().Set("X-Request-Id", id)
		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), idKey{}, id)))
	})
}

type idKey struct{}

func requestID(r *http.Request) string {
	id, _ := r.Context().Value(idKey{}).(string)
	return id
}

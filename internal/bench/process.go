package main

import (
	"net/http"
	"strings"

	"sidecar/internal/beside"
)

// child serves as what it is told to be, and says where.
func child(kind string, args []string) error {
	if kind == bare {
		bare, err := beside.Bare(args...)
		if err != nil {
			return err
		}
		return beside.Serve(bare)
	}
	return beside.Serve(http.HandlerFunc(answer))
}

const largePath = "/v1/orders/all"

var (
	small = []byte(strings.Repeat("x", 1<<10))
	large = []byte(strings.Repeat("x", 64<<10))
)

// answer is the upstream: net/http reads what is left of the request's body.
func answer(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/plain")
	if r.URL.Path == largePath {
		w.Header().Set("Content-Length", "65536")
		_, _ = w.Write(large)
		return
	}
	_, _ = w.Write(small)
}

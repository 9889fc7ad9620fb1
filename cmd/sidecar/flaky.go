package main

import (
	"encoding/json"
	"net/http"
	"strconv"
	"sync/atomic"
	"time"
)

// flakyHandler is a small shop. Its catalog fails every fifth time, /slow is
// slow, and everything else is well.
func flakyHandler() http.Handler {
	var calls atomic.Int64
	mux := http.NewServeMux()
	mux.HandleFunc("/catalog", func(w http.ResponseWriter, r *http.Request) {
		if calls.Add(1)%5 == 0 {
			http.Error(w, "the catalog is flaky on purpose", http.StatusServiceUnavailable)
			return
		}
		say(w, r, map[string]any{"items": []string{"tea", "bread", "salt"}})
	})
	mux.HandleFunc("/slow", func(w http.ResponseWriter, r *http.Request) {
		ms, err := strconv.Atoi(r.URL.Query().Get("ms"))
		if err != nil || ms < 0 || ms > 60_000 {
			ms = 1000
		}
		select {
		case <-time.After(time.Duration(ms) * time.Millisecond):
			say(w, r, map[string]any{"waited": ms})
		case <-r.Context().Done():
		}
	})
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		say(w, r, map[string]any{"path": r.URL.Path})
	})
	return mux
}

// say answers with what the upstream saw, so that a user sees what the sidecar
// sent.
func say(w http.ResponseWriter, r *http.Request, body map[string]any) {
	body["method"] = r.Method
	body["requestId"] = r.Header.Get("X-Request-Id")
	if user := r.Header.Get("X-User"); user != "" {
		body["user"] = user
	}
	if attempt := r.Header.Get("X-Sidecar-Attempt"); attempt != "" {
		body["attempt"] = attempt
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(body)
}

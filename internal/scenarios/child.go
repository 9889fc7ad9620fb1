package main

import (
	"net/http"

	"sidecar/internal/beside"
)

// child serves as a bare proxy, or as one whose client repeats what fails.
func child(args []string) error {
	repeat := args[0] == "-repeat"
	if repeat {
		args = args[1:]
	}
	proxy, err := beside.Bare(args...)
	if err != nil {
		return err
	}
	if repeat {
		proxy.Transport = repeating{proxy.Transport}
	}
	return beside.Serve(proxy)
}

// repeating makes a call three times, as retries do that nobody has bounded.
type repeating struct{ http.RoundTripper }

func (t repeating) RoundTrip(r *http.Request) (*http.Response, error) {
	for range 2 {
		resp, err := t.RoundTripper.RoundTrip(r)
		if err == nil && resp.StatusCode < 500 {
			return resp, nil
		}
		if err == nil {
			resp.Body.Close()
		}
	}
	return t.RoundTripper.RoundTrip(r)
}

package admin

import (
	"errors"
	"fmt"
	"net/http"

	"sidecar/internal/upstream"
)

func (a *Admin) listUpstreams(w http.ResponseWriter, _ *http.Request) {
	all := []upstream.Status{}
	if s := a.Proxy.Snapshot(); s != nil {
		for _, u := range s.Upstreams() {
			all = append(all, u.Status())
		}
	}
	reply(w, http.StatusOK, map[string]any{"upstreams": all})
}

// upstream finds the upstream that r names, or says that there is none.
func (a *Admin) upstream(w http.ResponseWriter, r *http.Request) (*upstream.Upstream, bool) {
	name := r.PathValue("name")
	if s := a.Proxy.Snapshot(); s != nil {
		if u, ok := s.Upstream(name); ok {
			return u, true
		}
	}
	fail(w, http.StatusNotFound, fmt.Sprintf("no route goes to an upstream %q; GET /upstreams lists them", name))
	return nil, false
}

func (a *Admin) getUpstream(w http.ResponseWriter, r *http.Request) {
	if u, ok := a.upstream(w, r); ok {
		reply(w, http.StatusOK, u.Status())
	}
}

func (a *Admin) drainEndpoint(w http.ResponseWriter, r *http.Request) {
	u, ok := a.upstream(w, r)
	if !ok {
		return
	}
	var want struct {
		Drain *bool `json:"drain"`
	}
	err := decode(w, r, &want)
	if err == nil && want.Drain == nil {
		err = errors.New("drain must be true or false, and is not there")
	}
	if err == nil {
		err = u.Drain(r.PathValue("endpoint"), *want.Drain, who(r))
	}
	switch {
	case errors.Is(err, upstream.ErrUnknown):
		fail(w, http.StatusNotFound, fmt.Sprintf("upstream %q has no endpoint %q; GET /upstreams lists them", u.Name(), r.PathValue("endpoint")))
	case errors.Is(err, upstream.ErrLast):
		fail(w, http.StatusConflict, err.Error())
	case err != nil:
		failBody(w, err)
	default:
		reply(w, http.StatusOK, u.Status())
	}
}

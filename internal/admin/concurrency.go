package admin

import (
	"net/http"

	"sidecar/internal/concurrency"
)

func (a *Admin) listLimits(w http.ResponseWriter, _ *http.Request) {
	all := []concurrency.Status{}
	if s := a.Proxy.Snapshot(); s != nil {
		for _, l := range s.Limits() {
			all = append(all, l.Status())
		}
	}
	reply(w, http.StatusOK, map[string]any{"limits": all})
}

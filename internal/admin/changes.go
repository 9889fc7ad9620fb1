package admin

import (
	"errors"
	"fmt"
	"net/http"

	"sidecar/internal/breaker"
	"sidecar/internal/exchange"
	"sidecar/internal/faults"
	"sidecar/internal/policy"
)

func (a *Admin) listBreakers(w http.ResponseWriter, _ *http.Request) {
	all := []breaker.Status{}
	if s := a.Proxy.Snapshot(); s != nil {
		for _, b := range s.Breakers() {
			all = append(all, b.Status())
		}
	}
	reply(w, http.StatusOK, map[string]any{"breakers": all})
}

// breaker finds the breaker that r names, or says that there is none.
func (a *Admin) breaker(w http.ResponseWriter, r *http.Request) (*breaker.State, bool) {
	name := r.PathValue("name")
	if s := a.Proxy.Snapshot(); s != nil {
		if b, ok := s.Breaker(name); ok {
			return b, true
		}
	}
	fail(w, http.StatusNotFound, fmt.Sprintf("there is no circuit breaker %q; GET /breakers lists them", name))
	return nil, false
}

func (a *Admin) getBreaker(w http.ResponseWriter, r *http.Request) {
	if b, ok := a.breaker(w, r); ok {
		reply(w, http.StatusOK, b.Status())
	}
}

func (a *Admin) forceBreaker(w http.ResponseWriter, r *http.Request) {
	b, ok := a.breaker(w, r)
	if !ok {
		return
	}
	var want struct {
		State string `json:"state"`
	}
	err := decode(w, r, &want)
	if err == nil {
		err = b.Force(want.State, who(r))
	}
	if err != nil {
		failBody(w, err)
		return
	}
	reply(w, http.StatusOK, b.Status())
}

func (a *Admin) listFaults(w http.ResponseWriter, _ *http.Request) {
	reply(w, http.StatusOK, map[string]any{"faults": a.Faults.List()})
}

func (a *Admin) getFault(w http.ResponseWriter, r *http.Request) {
	status, ok := a.Faults.Get(r.PathValue("name"))
	if !ok {
		a.failFault(w, r, faults.ErrUnknown)
		return
	}
	reply(w, http.StatusOK, status)
}

func (a *Admin) switchOn(w http.ResponseWriter, r *http.Request) {
	var t faults.Toggle
	if _, ok := a.Faults.Get(r.PathValue("name")); !ok {
		a.failFault(w, r, faults.ErrUnknown)
		return
	}
	if err := decode(w, r, &t); err != nil {
		a.failFault(w, r, err)
		return
	}
	status, err := a.Faults.On(r.PathValue("name"), t, who(r))
	if err != nil {
		a.failFault(w, r, err)
		return
	}
	reply(w, http.StatusOK, status)
}

func (a *Admin) switchOff(w http.ResponseWriter, r *http.Request) {
	status, err := a.Faults.Off(r.PathValue("name"), who(r))
	if err != nil {
		a.failFault(w, r, err)
		return
	}
	reply(w, http.StatusOK, status)
}

func (a *Admin) failFault(w http.ResponseWriter, r *http.Request, err error) {
	if errors.Is(err, faults.ErrUnknown) {
		fail(w, http.StatusNotFound, fmt.Sprintf("there is no fault %q in the policy; GET /faults lists them", r.PathValue("name")))
		return
	}
	if errors.Is(err, faults.ErrDisabled) {
		fail(w, http.StatusConflict, err.Error())
		return
	}
	failBody(w, err)
}

func (a *Admin) reload(w http.ResponseWriter, r *http.Request) {
	change, err := a.Reload(who(r))
	if errors.Is(err, exchange.ErrUnheard) {
		failBody(w, fmt.Errorf("the policy before it holds: %w", err))
		return
	}
	if err != nil {
		failWith(w, http.StatusUnprocessableEntity, notReloaded{
			problem:  newProblem(http.StatusUnprocessableEntity, "the policy before it holds"),
			Problems: lines(err),
		})
		return
	}
	reply(w, http.StatusOK, reloaded{true, Change{orEmpty(change.Changed), orEmpty(change.Reset)}})
}

type reloaded struct {
	Reloaded bool `json:"reloaded"`
	Change
}

type notReloaded struct {
	problem
	Reloaded bool     `json:"reloaded"` // false
	Problems []string `json:"problems"`
}

// lines returns what stops a policy, as `sidecar check` prints it.
func lines(err error) []string {
	var problems policy.Problems
	if !errors.As(err, &problems) {
		return []string{err.Error()}
	}
	return problems.Lines()
}

// orEmpty makes nothing an empty list, not a null.
func orEmpty(list []string) []string { return append([]string{}, list...) }

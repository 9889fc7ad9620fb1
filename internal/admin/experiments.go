package admin

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"sidecar/internal/exchange"
	"sidecar/internal/experiment"
	"sidecar/internal/faults"
	"sidecar/internal/policy"
)

// StartExperiment begins an experiment on behalf of who. With a lease it ends
// unless that is renewed in time; 0 is none.
type StartExperiment func(e *policy.Experiment, lease time.Duration, who exchange.Who) (experiment.Report, error)

// The shortest and the longest lease.
const (
	minLease = time.Second
	maxLease = time.Hour
)

func (a *Admin) listExperiments(w http.ResponseWriter, _ *http.Request) {
	reply(w, http.StatusOK, map[string]any{"experiments": a.Experiments.List()})
}

func (a *Admin) getExperiment(w http.ResponseWriter, r *http.Request) {
	report, err := a.Experiments.Get(r.PathValue("id"))
	replyExperiment(w, http.StatusOK, report, err)
}

func (a *Admin) renewExperiment(w http.ResponseWriter, r *http.Request) {
	report, err := a.Experiments.Renew(r.PathValue("id"))
	replyExperiment(w, http.StatusOK, report, err)
}

func (a *Admin) abortExperiment(w http.ResponseWriter, r *http.Request) {
	report, err := a.Experiments.Abort(r.Context(), r.PathValue("id"), who(r))
	replyExperiment(w, http.StatusOK, report, err)
}

// startExperiment takes an experiment file as its body.
func (a *Admin) startExperiment(w http.ResponseWriter, r *http.Request) {
	lease, err := leaseOf(r)
	if err != nil {
		failBody(w, err)
		return
	}
	text, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		failBody(w, fmt.Errorf("reading the body of at most %d bytes: %w", maxBody, err))
		return
	}
	e, err := policy.ParseExperiment("experiment", bytes.TrimSpace(text))
	if err != nil {
		failWith(w, http.StatusBadRequest, notAnExperiment{
			problem:  newProblem(http.StatusBadRequest, "the experiment cannot be read as one"),
			Problems: lines(err),
		})
		return
	}
	report, err := a.StartExperiment(e, lease, who(r))
	if err == nil {
		w.Header().Set("Location", "/experiments/"+report.ID)
	}
	replyExperiment(w, http.StatusAccepted, report, err)
}

type notAnExperiment struct {
	problem
	Problems []string `json:"problems"`
}

func leaseOf(r *http.Request) (time.Duration, error) {
	text := r.URL.Query().Get("lease")
	if text == "" {
		return 0, nil
	}
	d, err := time.ParseDuration(text)
	if err != nil || d < minLease || d > maxLease {
		return 0, fmt.Errorf("lease: must be a duration of %v to %v, got %q", minLease, maxLease, text)
	}
	return d, nil
}

func replyExperiment(w http.ResponseWriter, status int, report experiment.Report, err error) {
	switch {
	case err == nil:
		reply(w, status, report)
	case errors.Is(err, experiment.ErrUnknown):
		fail(w, http.StatusNotFound, err.Error()+"; GET /experiments lists them")
	case errors.Is(err, faults.ErrUnknown):
		fail(w, http.StatusNotFound, err.Error()+"; GET /faults lists them")
	case errors.Is(err, experiment.ErrBusy), errors.Is(err, experiment.ErrClosed),
		errors.Is(err, faults.ErrActive), errors.Is(err, faults.ErrShadow), errors.Is(err, faults.ErrDisabled):
		fail(w, http.StatusConflict, err.Error())
	default:
		failBody(w, err)
	}
}

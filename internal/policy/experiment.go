package policy

import (
	"bytes"
	"reflect"

	"sidecar/internal/exchange"
	"sidecar/internal/experiment"
	"sidecar/internal/faults"
)

// Experiment is an experiment file. JSON is YAML, too.
type Experiment struct {
	experiment.Config `yaml:",inline"`

	// Fault is what is broken.
	Fault ExperimentFault `yaml:"fault"`
}

// ExperimentFault is a fault that the policy names, and what is other than there
// while the experiment has it on.
type ExperimentFault struct {
	// Name is that of the policy. It is off when the experiment begins.
	Name string `yaml:"name"`

	faults.Toggle `yaml:",inline"`
}

// ParseExperiment reads an experiment file with this name and content; the error
// is Problems. It stands for itself: no variables are read, since it may come
// from elsewhere. Whether the policy has such a fault is not checked.
func ParseExperiment(name string, data []byte) (*Experiment, error) {
	w := newWalk(name, data, Options{LookupEnv: func(string) (string, bool) { return "", false }})
	e := &Experiment{}
	if len(bytes.TrimSpace(data)) == 0 {
		w.report("", "is empty: must hold at least name, fault and steadyState")
	} else if root := w.document(data); root != nil {
		v := reflect.ValueOf(e).Elem()
		setDefaults(v)
		w.value(root, root, "", v)
	}
	if len(w.problems) > 0 {
		return nil, w.problems.sorted()
	}
	return e, nil
}

// Validate reports every problem with e.
func (e *Experiment) Validate(report exchange.Report) {
	e.Config.Validate(report)
	if e.Fault.Name == "" {
		report("fault.name", "must name a fault of the policy")
	}
	e.Fault.Toggle.Validate(func(field, problem string) { report("fault."+field, problem) })
}

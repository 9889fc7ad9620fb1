package audit

import (
	"fmt"
	"path/filepath"

	"sidecar/internal/exchange"
)

// Config is telemetry.audit: where it is written who was refused and who
// changed what. It is read once: a change needs a restart.
type Config struct {
	Line int `yaml:"-"`

	// File takes a line for each refused credential, denied authorization and
	// change by an operator; an absolute path, in a folder that is there. It
	// is made with mode 0600, appended to, and locked against other processes.
	// SIGHUP opens it anew, for logrotate. Required.
	File string `yaml:"file"`

	// Queue is how many lines of requests may wait to be written. What finds
	// no room is counted in sidecar_audit_dropped_total. 1 to 1000000;
	// default 1024.
	Queue int `yaml:"queue"`
}

// SetDefaults fills c with what is not said.
func (c *Config) SetDefaults() { *c = Config{Line: c.Line, Queue: 1024} }

// Validate reports every problem with c.
func (c *Config) Validate(report exchange.Report) {
	if !filepath.IsAbs(c.File) {
		report("file", fmt.Sprintf("must be an absolute path such as /var/log/sidecar/audit.jsonl, got %q", c.File))
	}
	exchange.Range(report, "queue", c.Queue, 1, 1_000_000)
}

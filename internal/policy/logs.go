package policy

import (
	"slices"

	"sidecar/internal/authz"
	"sidecar/internal/logging"
)

// RedactedLogs returns telemetry.logs, with the header fields that hold API keys among
// those that are redacted: whatever they are called, also those of a policy
// that no route uses or that is disabled. f is not changed.
func (f *File) RedactedLogs() logging.Config {
	c := f.Telemetry.Logs
	c.Redact = slices.Clone(c.Redact)
	add := func(a *authz.AuthnConfig) {
		if a != nil && a.APIKeys != nil {
			c.Redact = append(c.Redact, a.APIKeys.Header)
		}
	}
	for _, a := range f.Policies.Authn {
		add(a)
	}
	add(f.Defaults.Use.Authn.Inline)
	for _, r := range f.Routes {
		add(r.Use.Authn.Inline)
	}
	return c
}

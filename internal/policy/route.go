package policy

import (
	"fmt"
	"regexp"
	"strings"

	"sidecar/internal/exchange"
)

// A protocol in Upgrade (RFC 9110 section 7.8).
var upgradeShape = regexp.MustCompile("^[!#$%&'*+.^_`|~0-9A-Za-z-]+(/[!#$%&'*+.^_`|~0-9A-Za-z-]+)?$")

// Validate reports every problem with r that the rest of the file is not
// needed for.
func (r *Route) Validate(report exchange.Report) {
	if r.Name == "" {
		report("name", "must be said: it stands in metrics and logs")
	} else if problem := checkName(r.Name, false); problem != "" {
		report("name", problem)
	} else if r.Name == exchange.NoRouteName {
		report("name", fmt.Sprintf("must not be %q, which stands for no route", r.Name))
	}
	for i, protocol := range r.Upgrade {
		at := fmt.Sprintf("upgrade[%d]", i)
		switch {
		case !upgradeShape.MatchString(protocol):
			report(at, fmt.Sprintf("must be a protocol such as websocket, got %q", protocol))
		case strings.EqualFold(protocol, "h2c"):
			report(at, "must not be h2c: its requests would pass by every policy")
		}
	}
}

// Validate reports every problem with m.
func (m *Match) Validate(report exchange.Report) {
	if m.Path != "" && m.PathPrefix != "" {
		report("pathPrefix", "must not stand beside path")
	}
	if m.Path != "" && m.Path[0] != '/' {
		report("path", fmt.Sprintf("must begin with /, got %q", m.Path))
	}
	if m.PathPrefix != "" && m.PathPrefix[0] != '/' {
		report("pathPrefix", fmt.Sprintf("must begin with /, got %q", m.PathPrefix))
	}
	for key, path := range map[string]string{"path": m.Path, "pathPrefix": m.PathPrefix} {
		if strings.ContainsAny(path, "?#") {
			report(key, fmt.Sprintf("can never match: a path ends before its query, got %q", path))
		}
	}
	exchange.Methods(report, "methods", m.Methods)
	if m.Host != "" {
		exchange.Host(report, "host", m.Host)
	}
	for name := range m.Headers {
		exchange.HeaderName(report, "headers."+segment(name), name)
	}
}

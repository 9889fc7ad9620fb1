package authz

import (
	"fmt"
	"strings"

	"sidecar/internal/exchange"
)

// The effects of a rule, and of none.
const (
	Allow = "allow"
	Deny  = "deny"
)

// Config is an authz policy: who may do what. A deny rule that matches wins,
// then an allow rule, then Default.
type Config struct {
	Line int `yaml:"-"`

	// Mode is enforce, the default; shadow: the policy says what it would do,
	// and does nothing; or disabled: it is not asked.
	Mode exchange.Mode `yaml:"mode,omitempty"`

	// Default is what holds when no rule matches: deny, the default, or allow.
	Default string `yaml:"default"`

	Rules []RuleConfig `yaml:"rules,omitempty"`
}

// RuleConfig is one rule.
type RuleConfig struct {
	Line int `yaml:"-"`

	// Name stands in decisions. Default: rule-1 for the first rule, and so on.
	Name string `yaml:"name,omitempty"`
	// Effect is allow or deny.
	Effect string `yaml:"effect"`
	// When is what must hold for the rule to match: every key that is there.
	// A rule without it always matches.
	When When `yaml:"when,omitempty"`
}

// When is a conjunction: every key that is there must hold.
type When struct {
	// Roles: the principal has one of them.
	Roles []string `yaml:"roles,omitempty"`
	// Methods: the request has one of them.
	Methods []string `yaml:"methods,omitempty"`
	// Paths: the decoded path matches one of them. * stands for one segment
	// or a part of one, ** for any number of segments.
	Paths []string `yaml:"paths,omitempty"`
	// Claims: each claim, by name or path, has the value, or has it among its
	// values.
	Claims map[string]string `yaml:"claims,omitempty"`
	// Principals: the subject matches one of them. * stands for any run of
	// characters.
	Principals []string `yaml:"principals,omitempty"`
}

// SetDefaults fills c with what is not said.
func (c *Config) SetDefaults() { *c = Config{Line: c.Line, Default: Deny} }

// Validate reports every problem with c.
func (c *Config) Validate(report exchange.Report) {
	exchange.OneOf(report, "default", c.Default, Allow, Deny)
	seen := map[string]int{}
	for i, rule := range c.Rules {
		field := fmt.Sprintf("rules[%d]", i)
		exchange.OneOf(report, field+".effect", rule.Effect, Allow, Deny)
		exchange.Methods(report, field+".when.methods", rule.When.Methods)
		for j, path := range rule.When.Paths {
			if !strings.HasPrefix(path, "/") {
				report(fmt.Sprintf("%s.when.paths[%d]", field, j), fmt.Sprintf("must begin with /, got %q", path))
			}
		}
		if first, ok := seen[rule.Name]; ok && rule.Name != "" {
			report(field+".name", fmt.Sprintf("is that of rules[%d] already: %q", first, rule.Name))
		}
		seen[rule.Name] = i
	}
}

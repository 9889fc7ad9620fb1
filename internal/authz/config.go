package authz

import (
	"fmt"

	"sidecar/internal/exchange"
)

// The effects of a rule, and of none.
const (
	Allow = "allow"
	Deny  = "deny"
)

// Config is an authz policy: who may do what. A deny rule that matches wins,
// then an allow rule, then Default; or a decision point of yours says it.
type Config struct {
	Line int `yaml:"-"`

	// Mode is enforce, the default; shadow: the policy says what it would do,
	// and does nothing; or disabled: it is not asked.
	Mode exchange.Mode `yaml:"mode,omitempty"`

	// Default is what holds when no rule matches: deny, the default, or allow.
	Default string `yaml:"default"`

	// Explain tells clients that are refused which rule did it, and its line
	// in the policy file. Without it only the record, the log and the audit
	// say so, since it helps to find a way around the rules.
	Explain bool `yaml:"explain,omitempty"`

	Rules []RuleConfig `yaml:"rules,omitempty"`

	// External is a decision point that is asked in place of Rules.
	External *ExternalConfig `yaml:"external,omitempty"`
}

// RuleConfig is one rule.
type RuleConfig struct {
	Line int `yaml:"-"`

	// Name stands in decisions and metrics. Default: rule-1 for the first
	// rule, and so on.
	Name string `yaml:"name,omitempty"`
	// Effect is allow or deny.
	Effect string `yaml:"effect"`
	// When is what must hold for the rule to match: every key that is there.
	// A rule without it always matches.
	When When `yaml:"when,omitempty"`
}

// SetDefaults fills c with what is not said.
func (c *Config) SetDefaults() { *c = Config{Line: c.Line, Default: Deny} }

// Validate reports every problem with c.
func (c *Config) Validate(report exchange.Report) {
	exchange.OneOf(report, "default", c.Default, Allow, Deny)
	if c.External != nil {
		if len(c.Rules) > 0 {
			report("rules", "must not stand beside external, which is asked in their place")
		}
		if c.Default == Allow {
			report("default", "must not be allow beside external, whose onFailure says what holds without an answer")
		}
	}
	seen := map[string]int{}
	for i, rule := range c.Rules {
		field := fmt.Sprintf("rules[%d]", i)
		exchange.OneOf(report, field+".effect", rule.Effect, Allow, Deny)
		rule.When.validate(func(f, problem string) { report(field+".when."+f, problem) })
		if first, ok := seen[rule.Name]; ok && rule.Name != "" {
			report(field+".name", fmt.Sprintf("is that of rules[%d] already: %q", first, rule.Name))
		}
		seen[rule.Name] = i
	}
}

package main

import (
	"encoding/json"
	"fmt"
	"os"
	"time"

	"sidecar/internal/authz"
)

type tokenCmd struct {
	SecretFile string            `required:"" type:"existingfile" help:"File with the shared secret, at least 32 bytes." placeholder:"FILE"`
	Subject    string            `required:"" help:"Whose token it is." placeholder:"NAME"`
	Role       []string          `help:"A role; may be said more than once." placeholder:"ROLE"`
	Issuer     string            `default:"sidecar" help:"Who vouches for it; the policy must name the same."`
	Audience   string            `help:"Whom it is for."`
	Claim      map[string]string `help:"Another claim; a value that is JSON is taken as such." placeholder:"KEY=VALUE"`
	TTL        time.Duration     `default:"1h" help:"How long it is valid."`
}

// Run prints the token.
func (c tokenCmd) Run(p *process) error {
	secret, err := os.ReadFile(c.SecretFile)
	if err != nil {
		return err
	}
	t := authz.Token{
		Subject: c.Subject, Roles: c.Role, Issuer: c.Issuer, Audience: c.Audience,
		Claims: map[string]any{}, TTL: c.TTL,
	}
	for name, value := range c.Claim {
		t.Claims[name] = claimValue(value)
	}
	token, err := authz.Sign(secret, t)
	if err != nil {
		return fmt.Errorf("%s: %w", c.SecretFile, err)
	}
	fmt.Fprintln(p.stdout, token)
	return nil
}

func claimValue(s string) any {
	var v any
	if json.Unmarshal([]byte(s), &v) == nil {
		return v
	}
	return s
}

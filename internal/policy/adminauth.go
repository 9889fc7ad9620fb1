package policy

import (
	"fmt"
	"strings"

	"sidecar/internal/exchange"
)

// The roles of those who ask admin.
const (
	Viewer   = "viewer"   // looks
	Operator = "operator" // changes, too
)

// AdminAuth names who may look at the running sidecar, and who may change it.
// Where it is there, nobody may do either without a credential; whoever has the
// AdminToken is an operator. An address that shows ten wrong tokens within a
// minute is not heard for the rest of it.
type AdminAuth struct {
	// Tokens are carried as "Authorization: Bearer TOKEN". Default none.
	Tokens []AdminToken `yaml:"tokens,omitempty"`
	// Certificates are those of clients, as AdminTLS verifies them.
	// Default none.
	Certificates []AdminCertificate `yaml:"certificates,omitempty"`
	// AnonymousRead lets anybody look who reaches the listener; it must be on
	// loopback. Default false.
	AnonymousRead bool `yaml:"anonymousRead,omitempty"`
}

// AdminToken is a token and what may be done with it.
type AdminToken struct {
	// Name stands in the log and the audit file in place of the token.
	Name string `yaml:"name"`
	// File holds the token and nothing else, on one line: at least 16 visible
	// ASCII characters. Another content counts as soon as it is there.
	File string `yaml:"file" file:"secret"`
	// Role is viewer, the default, or operator.
	Role string `yaml:"role"`

	// Token is what File held when the policy was read; none if it was not.
	Token Secret `yaml:"-"`
}

// AdminCertificate is who a client certificate may speak of, and what they may
// do.
type AdminCertificate struct {
	// Principal is the certificate's URI, such as a SPIFFE ID, where it has
	// one, else its first DNS name, else its common name. A * at the end
	// stands for any run of characters.
	Principal string `yaml:"principal"`
	// Role is viewer, the default, or operator.
	Role string `yaml:"role"`
}

// SetDefaults fills t with what is not said.
func (t *AdminToken) SetDefaults() { *t = AdminToken{Role: Viewer} }

// SetDefaults fills c with what is not said.
func (c *AdminCertificate) SetDefaults() { *c = AdminCertificate{Role: Viewer} }

// Validate reports every problem with t.
func (t *AdminToken) Validate(report exchange.Report) {
	if problem := checkName(t.Name, true); problem != "" {
		report("name", problem)
	}
	if t.File == "" {
		report("file", "must be said: a file that holds the token")
	}
	exchange.OneOf(report, "role", t.Role, Viewer, Operator)
}

// Validate reports every problem with c.
func (c *AdminCertificate) Validate(report exchange.Report) {
	if before, _, _ := strings.Cut(c.Principal, "*"); c.Principal == "" || before != strings.TrimSuffix(c.Principal, "*") {
		report("principal", fmt.Sprintf("must be the name in a certificate, with a * at its end or none, got %q", c.Principal))
	}
	exchange.OneOf(report, "role", c.Role, Viewer, Operator)
}

// anybody reports whether a has a credential at all.
func (a *AdminAuth) anybody() bool { return a != nil && len(a.Tokens)+len(a.Certificates) > 0 }

// adminTokens checks the names of tokens, and fills in what their files hold.
func (w *walk) adminTokens(f *File) {
	if f.Server.AdminAuth == nil {
		return
	}
	names, tokens := map[string]bool{}, map[string]bool{}
	for i := range f.Server.AdminAuth.Tokens {
		t := &f.Server.AdminAuth.Tokens[i]
		at := fmt.Sprintf("server.adminAuth.tokens[%d]", i)
		if names[t.Name] {
			w.check(at+".name", fmt.Sprintf("is that of another token: %q", t.Name))
		}
		names[t.Name] = true
		if _, read := w.reads[at+".file"]; !read {
			continue
		}
		token := string(exchange.TrimSecret(w.files[t.File]))
		switch {
		case !tokenShape.MatchString(token):
			w.check(at+".file", "must hold one line of at least 16 characters, all of them visible ASCII")
		case tokens[token]:
			w.check(at+".file", "holds the token of another name")
		}
		tokens[token], t.Token = true, Secret{token, t.File}
	}
}

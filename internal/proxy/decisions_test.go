package proxy

import (
	"errors"
	"fmt"
	"path"
	"strings"
	"testing"

	"sidecar/internal/exchange"
)

const judging = `
version: v1
upstreams: {app: {endpoints: [{url: "${UPSTREAM}"}]}}
policies:
  authz:
    closed:
      rules:
        - {effect: deny, when: {paths: ["/v1/admin/**", "/*/secret", "/v1/*.key"]}}
        - {effect: allow, when: {paths: ["/v1/**", "/public", "/a:b/*x*/é", "/ /;/**"]}}
    ajar:
      default: allow
      rules: [{effect: deny, when: {paths: ["/admin/**", "/v1/*/x", "/**/secret"]}}]
routes: [{name: all, upstream: app, use: {authz: POLICY}}]
`

// verdicts returns how each policy judges target, and whether it is judged at
// all: strict paths refuse what can be read in two ways.
func verdicts(t *testing.T, snapshots []*Snapshot, target string) (allowed []bool, judged bool) {
	t.Helper()
	for _, s := range snapshots {
		r := request(t, target)
		rt, err := s.route(r)
		if err != nil {
			return nil, false
		}
		err = pass(rt.gates, r)
		var f *exchange.Refusal
		if errors.As(err, &f) && f.Kind != exchange.Authz {
			t.Skip("refused by something else")
		}
		allowed = append(allowed, err == nil)
	}
	return allowed, true
}

// spell writes a decoded path as a target: which bytes are percent-encoded, and
// in which case, how says. What cannot stand in a path is encoded in any case.
func spell(decoded string, how []byte) string {
	var b strings.Builder
	for i, c := range []byte(decoded) {
		kind := byte(0)
		if len(how) > 0 {
			kind = how[i%len(how)] % 4
		}
		switch {
		case c != '%' && isPathChar(c) && (kind < 2 || c == '/' && kind == 2):
			b.WriteByte(c)
		case kind%2 == 0:
			fmt.Fprintf(&b, "%%%02x", c)
		default:
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	return b.String()
}

// No two spellings of a path that an upstream would treat alike are judged
// differently: any two spellings of one path get one verdict, or are refused as
// ambiguous; and what a server may make of a path is allowed where the path is.
func FuzzPathDecisions(f *testing.F) {
	for _, seed := range []string{
		"/v1/admin/users", "/v1/orders", "/public", "/v1/x.key", "/x/secret", "/a:b/yxz/é", "/ /;/q",
		"/v1/admin;a=b/users", "/v1/x;/../admin", "/v1/%61dmin", "/admin", "/v1//x", "/v1/a\\x", "/v1/admin\x00",
	} {
		f.Add(seed, []byte{0}, []byte{2, 0, 3, 1})
		f.Add(seed, []byte{3}, []byte{0, 2})
	}
	var snapshots []*Snapshot
	for _, name := range []string{"closed", "ajar"} {
		p, _ := apply(f, strings.Replace(judging, "POLICY", name, 1), "http://127.0.0.1:1")
		snapshots = append(snapshots, p.Snapshot())
	}
	f.Fuzz(func(t *testing.T, decoded string, one, other []byte) {
		decoded = "/" + strings.TrimPrefix(decoded, "/")
		a, b := spell(decoded, one), spell(decoded, other)
		of, judged := verdicts(t, snapshots, a)
		also, judgedToo := verdicts(t, snapshots, b)
		if judged && judgedToo && fmt.Sprint(of) != fmt.Sprint(also) {
			t.Errorf("%s is judged %v, and %s, which is the same, %v", a, of, b, also)
		}
		if !judged {
			return
		}
		for _, read := range readings(decoded) {
			as, judged := verdicts(t, snapshots, spell(read, nil))
			for i := range as {
				if judged && of[i] && !as[i] {
					t.Errorf("%s is allowed, and %s, as which some read it, is not", a, read)
				}
			}
		}
	})
}

// readings are what servers make of a decoded path.
func readings(decoded string) []string {
	segments := strings.Split(decoded, "/")
	for i := range segments {
		segments[i], _, _ = strings.Cut(segments[i], ";")
	}
	bare := strings.Join(segments, "/")
	return []string{path.Clean(decoded), bare, path.Clean(bare), strings.ReplaceAll(decoded, `\`, "/")}
}

package authz

import (
	"context"
	"io"
	"net"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"sidecar/internal/exchange"
)

// A server that accepts connections and says nothing else would be left more of
// them with each call: net/http goes on with a handshake when its call is over.
func TestACallThatIsGivenUpKeepsNoConnection(t *testing.T) {
	var i IntrospectionConfig
	i.SetDefaults()
	var x ExternalConfig
	x.SetDefaults()
	for name, transport := range map[string]*http.Transport{
		"keys":             NewKeySet(KeySetConfig{}, nil, nil, nil).transport.(*http.Transport),
		"introspection":    NewIntrospector(IntrospectorConfig{Introspection: i}, nil, nil).transport.(*http.Transport),
		"a decision point": NewExternal(x).transport,
	} {
		bubble(name, t, func(t *testing.T) {
			var open atomic.Int64
			transport.DialContext = func(context.Context, string, string) (net.Conn, error) {
				ours, theirs := net.Pipe()
				open.Add(1)
				go func() {
					_, _ = io.Copy(io.Discard, theirs)
					open.Add(-1)
				}()
				return ours, nil
			}
			ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
			defer cancel()
			req, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://id.example.com/", nil)
			if err != nil {
				t.Fatal(err)
			}
			if resp, err := transport.RoundTrip(req); err == nil {
				resp.Body.Close()
				t.Fatal("a server that says nothing answers")
			}
			time.Sleep(10 * time.Second)
			if n := open.Load(); n != 0 {
				t.Errorf("%d connections are open 10s after the call, want 0", n)
			}
		})
	}
}

// roles: [] reads as nobody, and would match everybody.
func TestAnEmptyConditionIsAProblem(t *testing.T) {
	for field, when := range map[string]When{
		"roles":           {Roles: []string{}},
		"scopes":          {Scopes: []string{}},
		"methods":         {Methods: []string{}},
		"paths":           {Paths: []string{}},
		"hosts":           {Hosts: []string{}},
		"principals":      {Principals: []string{}},
		"sourceAddresses": {SourceAddresses: []exchange.Network{}},
	} {
		var got []string
		when.validate(func(f, _ string) { got = append(got, f) })
		if len(got) != 1 || got[0] != field {
			t.Errorf("an empty %s: problems at %q, want one there", field, got)
		}
	}
	var when When
	when.validate(func(f, problem string) { t.Errorf("no condition: %s %s, want no problem", f, problem) })
}

package proxy

import (
	"errors"
	"net/http"
	"strings"
	"testing"
)

// Who must agree is asked last, about a policy that is good, and whose word
// leaves everything as it was.
func TestApplyIf(t *testing.T) {
	up := service(t, func(http.ResponseWriter, *http.Request) {})
	no := errors.New("no")
	tests := []struct {
		name, text string
		say        error
		want       error // nil: applied
		asked      int
	}{
		{"agreed", reloads, nil, nil, 1},
		{"not agreed", strings.Replace(reloads, "consecutiveFailures: 1", "consecutiveFailures: 2", 1), no, no, 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p, _ := apply(t, reloads, up)
			before, asked := p.Snapshot(), 0
			err := p.ApplyIf(parse(t, tt.text, up), func() error {
				if asked++; p.Snapshot() != before {
					t.Error("it was applied before it was agreed to")
				}
				return tt.say
			})
			if !errors.Is(err, tt.want) || asked != tt.asked || (p.Snapshot() != before) != (tt.want == nil) {
				t.Errorf("%v, asked %d times, applied: %v", err, asked, p.Snapshot() != before)
			}
			if resp, _ := get(t, listen(t, p)+"/"); resp.StatusCode != 200 {
				t.Errorf("a request after it: %d, want 200", resp.StatusCode)
			}
		})
	}
}

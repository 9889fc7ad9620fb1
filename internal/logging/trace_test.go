package logging

import (
	"strings"
	"testing"
)

func TestALineNamesItsTrace(t *testing.T) {
	var c Config
	c.SetDefaults()
	r := record()
	r.TraceID = "4bf92f3577b34da6a3ce929d0e0e4736"
	if got := line(t, c, r); !strings.Contains(got, `"request_id":"req-1","trace_id":"4bf92f3577b34da6a3ce929d0e0e4736",`) {
		t.Errorf("line %s, want its trace in it", got)
	}
	r.TraceID = ""
	if got := line(t, c, r); strings.Contains(got, "trace_id") {
		t.Errorf("line %s, want no trace: there is none", got)
	}
}

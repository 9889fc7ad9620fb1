package exchange

import (
	"net/netip"
	"testing"
)

func TestWhoIsTold(t *testing.T) {
	at := netip.MustParseAddr("fd00::5")
	for _, tt := range []struct {
		who    Who
		want   string
		nobody bool
	}{
		{Who{}, "", true},
		{Who{Name: "SIGHUP"}, "SIGHUP", false},
		{Who{Client: at}, "fd00::5", false},
		{Who{Name: "token ci", Client: at, RequestID: "r-1"}, "token ci from fd00::5", false},
	} {
		if got := tt.who.String(); got != tt.want || tt.who.IsZero() != tt.nobody {
			t.Errorf("%#v is %q, nobody: %v, want %q, %v", tt.who, got, tt.who.IsZero(), tt.want, tt.nobody)
		}
	}
}

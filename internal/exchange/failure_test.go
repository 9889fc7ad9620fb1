package exchange

import (
	"errors"
	"fmt"
	"io"
	"testing"
)

func TestAFailureIsToldInItsOwnWordIfItHasOne(t *testing.T) {
	f := &Failure{Kind: FailedConnect, Why: UpstreamTLSTimeout, Err: io.ErrUnexpectedEOF}
	if f.Reason() != UpstreamTLSTimeout || !f.NothingSent() {
		t.Errorf("told as %s, nothing sent: %v, want upstream_tls_timeout and true", f.Reason(), f.NothingSent())
	}
}

func TestFailure(t *testing.T) {
	tests := []struct {
		kind        FailureKind
		reason      Reason
		nothingSent bool
	}{
		{FailedConnect, UpstreamConnect, true},
		{FailedBeforeRequest, UpstreamReset, true},
		{FailedReset, UpstreamReset, false},
		{FailedTimeout, UpstreamTimeout, false},
		{FailedProtocol, UpstreamProtocol, false},
		{FailedClient, ClientClosed, false},
		{"unheard-of", InternalError, false},
	}
	for _, tt := range tests {
		f := &Failure{Kind: tt.kind, Err: io.ErrUnexpectedEOF}
		if f.Reason() != tt.reason || f.NothingSent() != tt.nothingSent {
			t.Errorf("%s is told as %s, nothing sent: %v, want %s, %v", tt.kind, f.Reason(), f.NothingSent(), tt.reason, tt.nothingSent)
		}
		if want := string(tt.kind) + ": unexpected EOF"; f.Error() != want {
			t.Errorf("the error is %q, want %q", f, want)
		}
		var back *Failure
		if err := fmt.Errorf("calling: %w", f); !errors.As(err, &back) || back != f || !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("%s is lost in a wrapper, or what lies under it is", tt.kind)
		}
	}
}

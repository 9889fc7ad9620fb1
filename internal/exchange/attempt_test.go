package exchange

import (
	"net/http"
	"net/http/httptest"
	"testing"
)

func TestAttemptOutcome(t *testing.T) {
	tests := []struct {
		attempt Attempt
		want    string
	}{
		{Attempt{Status: 200}, "200"},
		{Attempt{Status: 503}, "503"},
		{Attempt{Status: 101}, "101"},
		{Attempt{Status: 999}, "999"},
		{Attempt{}, "0"},
		{Attempt{Status: 99}, "0"},
		{Attempt{Status: 1000}, "0"}, // a label has few values
		{Attempt{Failure: &Failure{Kind: FailedTimeout}}, "timeout"},
		{Attempt{Status: 200, Failure: &Failure{Kind: FailedReset}}, "reset"},
	}
	for _, tt := range tests {
		if got := tt.attempt.Outcome(); got != tt.want {
			t.Errorf("%+v ended as %s, want %s", tt.attempt, got, tt.want)
		}
	}
}

func TestAttemptOf(t *testing.T) {
	r := httptest.NewRequest("GET", "/", nil)
	if a := AttemptOf(r); a == nil || a.Number != 1 {
		t.Errorf("a bare request is attempt %+v, want a throwaway first one", a)
	}
	a := &Attempt{Number: 3}
	if got := AttemptOf(r.WithContext(WithAttempt(r.Context(), a))); got != a {
		t.Errorf("the attempt is %+v, want the one put in", got)
	}
}

func TestRoundTripFunc(t *testing.T) {
	want := &http.Response{StatusCode: 204}
	var rt http.RoundTripper = RoundTripFunc(func(*http.Request) (*http.Response, error) { return want, nil })
	if got, err := rt.RoundTrip(httptest.NewRequest("GET", "/", nil)); got != want || err != nil {
		t.Errorf("RoundTrip = %v, %v, want what the function returns", got, err)
	}
}

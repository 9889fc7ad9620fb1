package proxy

import (
	"net/http"
	"testing"
	"time"
)

func TestRequestTimeouts(t *testing.T) {
	tests := []struct {
		value string
		want  time.Duration
		form  timeoutForm
	}{
		{"2", 2 * time.Second, inSeconds},
		{"0.25", 250 * time.Millisecond, inSeconds},
		{" 5\t", 5 * time.Second, inSeconds},
		{"0", 0, inSeconds},
		{"-3", 0, inSeconds},
		{"99999999999999999999", longestTimeout, inSeconds},
		{"1.5s", 1500 * time.Millisecond, inUnits},
		{"300ms", 300 * time.Millisecond, inUnits},
		{"1m30s", 90 * time.Second, inUnits},
		{"-1s", 0, inUnits},
		{"2000000h", longestTimeout, inUnits},
		{"9999999999h", 0, unsaid},
		{"", 0, unsaid},
		{".", 0, unsaid},
		{"5 s", 0, unsaid},
		{"1e3", 0, unsaid},
		{"inf", 0, unsaid},
		{"0x10", 0, unsaid},
		{"5, 3", 0, unsaid},
		{"soon", 0, unsaid},
	}
	for _, tt := range tests {
		d, form := requestTimeout(http.Header{requestTimeoutHeader: {tt.value}})
		if d != tt.want || form != tt.form {
			t.Errorf("%q is %v in form %d, want %v in form %d", tt.value, d, form, tt.want, tt.form)
		}
	}
	if d, form := requestTimeout(http.Header{requestTimeoutHeader: {"5", "3"}}); form != unsaid {
		t.Errorf("two fields are %v, want nothing said", d)
	}
}

func TestRequestTimeoutsAreToldInTheFormTheyCameIn(t *testing.T) {
	for d, want := range map[time.Duration][2]string{
		2 * time.Second:            {"2", "2000ms"},
		1999999 * time.Microsecond: {"1.999", "1999ms"},
		time.Hour:                  {"3600", "3600000ms"},
		time.Nanosecond:            {"0.001", "1ms"},
		-time.Second:               {"0.001", "1ms"},
	} {
		if got := [2]string{formatRequestTimeout(d, inSeconds), formatRequestTimeout(d, inUnits)}; got != want {
			t.Errorf("%v is told as %q, want %q", d, got, want)
		}
	}
}

func FuzzRequestTimeout(f *testing.F) {
	for _, value := range []string{"5", "1.5s", "300ms", "-1", "1e9", "99999999999999999999"} {
		f.Add(value)
	}
	f.Fuzz(func(t *testing.T, value string) {
		d, form := requestTimeout(http.Header{requestTimeoutHeader: {value}})
		if d < 0 || form == unsaid && d != 0 {
			t.Fatalf("%q is %v in form %d", value, d, form)
		}
		if form == unsaid {
			return
		}
		told := formatRequestTimeout(d, form)
		back, again := requestTimeout(http.Header{requestTimeoutHeader: {told}})
		if again != form || back > max(d, time.Millisecond) {
			t.Errorf("%q is %v, and told on as %q, %v: a deadline is never extended", value, d, told, back)
		}
	})
}

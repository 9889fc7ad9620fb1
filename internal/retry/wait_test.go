package retry

import (
	"math"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"sidecar/internal/exchange"
)

// gaps returns the waits between the attempts.
func (x *exchanged) gaps() []time.Duration {
	var gaps []time.Duration
	for i := range x.up.at[1:] {
		gaps = append(gaps, x.up.at[i+1].Sub(x.up.at[i]))
	}
	return gaps
}

func TestWaits(t *testing.T) {
	const ms = time.Millisecond
	grpc := func(pushback string) reply {
		return trailersOnly(14, http.Header{"Grpc-Retry-Pushback-Ms": {pushback}})
	}
	date := func(after time.Duration) reply {
		return func(r *http.Request) (*http.Response, error) {
			return withHeader(503, "Retry-After", time.Now().Add(after).UTC().Format(http.TimeFormat))(r)
		}
	}
	after := func(value string) reply { return withHeader(503, "Retry-After", value) }
	tests := []struct {
		name    string
		replies []any
		want    []time.Duration
		notes   int
	}{
		{"doubles up to max, drawn in half", []any{503, 503, 200}, []time.Duration{50 * ms, 75 * ms}, 2},
		{"Retry-After in its place", []any{after("2"), 503, 200}, []time.Duration{2 * time.Second, 75 * ms}, 2},
		{"as a date", []any{date(3 * time.Second), 200}, []time.Duration{3 * time.Second}, 1},
		{"as a date that has passed", []any{date(-time.Hour), 200}, []time.Duration{0}, 1},
		{"of 0", []any{after("0"), 200}, []time.Duration{0}, 1},
		{"at most max", []any{after("5"), 200}, []time.Duration{5 * time.Second}, 1},
		{"that cannot be read", []any{after("soon"), 200}, []time.Duration{50 * ms}, 1},
		{"too long", []any{after("6")}, nil, 1},
		{"too long to be counted", []any{after("99999999999999999999")}, nil, 1},
		{"grpc-retry-pushback-ms", []any{grpc("1500"), 200}, []time.Duration{1500 * ms}, 1},
		{"negative: do not come back", []any{grpc("-1")}, nil, 0},
		{"unreadable: do not come back", []any{grpc("later")}, nil, 0},
		{"pushback is gRPC's", []any{withHeader(503, "Grpc-Retry-Pushback-Ms", "-1"), 200}, []time.Duration{50 * ms}, 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				x := send(t, policy(), keyed(ask("POST", "")), tt.replies...)
				if diff := cmp.Diff(tt.want, x.gaps()); diff != "" {
					t.Errorf("waits (-want +got):\n%s", diff)
				}
				if got := x.notes(); len(got) != tt.notes {
					t.Errorf("notes are %q, want %d", got, tt.notes)
				}
			})
		})
	}
}

func TestRetryAfterTooLongIsToldAndTheAnswerIsTheClients(t *testing.T) {
	x := send(t, policy(), ask("GET", ""), withHeader(503, "Retry-After", "60"))
	x.want(t, "503", 1)
	if diff := cmp.Diff([]string{"broken retry_after_too_long"}, x.notes()); diff != "" {
		t.Errorf("decisions (-want +got):\n%s", diff)
	}
	if got := x.resp.Header.Get("Retry-After"); got != "60" {
		t.Errorf("Retry-After is %q, want the upstream's", got)
	}
}

func TestWhatWouldBeRefusedIsNotWaitedFor(t *testing.T) {
	refusal := &exchange.Refusal{Kind: exchange.CircuitBreaker, Reason: exchange.BreakerOpen}
	opens := func(r *http.Request) (*http.Response, error) {
		exchange.From(r.Context()).CallNoMore(refusal)
		return exchange.NewResponse(r, 503, "", nil, http.Header{"Retry-After": {"3"}}), nil
	}
	for method, want := range map[string]string{"GET": "breaker_open", "POST": "503"} {
		synctest.Test(t, func(t *testing.T) {
			x := send(t, policy(), ask(method, ""), opens)
			x.want(t, want, 1)
			if x.took != 0 || len(x.notes()) != 0 {
				t.Errorf("%s: ends after %v with %q, want at once, and no retry told", method, x.took, x.notes())
			}
		})
	}
}

func TestALongWaitThatHasNoTimeIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rec := &exchange.Record{Deadline: time.Now().Add(time.Second)}
		x := send(t, policy(), with(ask("GET", ""), rec), withHeader(503, "Retry-After", "3"))
		x.want(t, "503", 1)
		if diff := cmp.Diff([]string{"broken retry_after_too_long"}, x.notes()); diff != "" {
			t.Errorf("decisions (-want +got):\n%s", diff)
		}
	})
}

func TestBackoffNeverOverflows(t *testing.T) {
	b := Backoff{Base: time.Minute, Max: time.Hour}
	for n := 1; n <= 100; n++ {
		if got := b.wait(n, math.Nextafter(1, 0)); got < 0 || got > time.Hour {
			t.Errorf("wait after attempt %d is %v, want 0 to 1h", n, got)
		}
	}
}

func FuzzRetryAfter(f *testing.F) {
	now := time.Date(2026, 11, 6, 8, 49, 37, 0, time.UTC)
	for _, s := range []string{
		"", "0", "120", "-1", "+1", "1.5", " 5", "9223372036854775807", "99999999999999999999999",
		"Fri, 06 Nov 2026 08:49:40 GMT", "Friday, 06-Nov-26 08:49:40 GMT", "Fri Nov  6 08:49:40 2026", "Fri, 31 Dec 9999 23:59:59 GMT",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, value string) {
		wait, ok := parseRetryAfter(value, now)
		if wait < 0 || !ok && wait != 0 {
			t.Errorf("parseRetryAfter(%q) = %v, %v", value, wait, ok)
		}
		if wait, ok := parsePushback(value); wait < 0 || !ok && wait != 0 {
			t.Errorf("parsePushback(%q) = %v, %v", value, wait, ok)
		}
	})
}

func TestParseRetryAfter(t *testing.T) {
	now := time.Date(2026, 11, 6, 8, 49, 37, 0, time.UTC)
	tests := []struct {
		value string
		want  time.Duration
		ok    bool
	}{
		{"", 0, false},
		{"0", 0, true},
		{"120", 2 * time.Minute, true},
		{"9223372036", 9223372036 * time.Second, true},
		{"9223372037", longest, true},
		{"99999999999999999999", longest, true},
		{"-1", 0, false},
		{"+1", 0, false},
		{"1.5", 0, false},
		{"1s", 0, false},
		{"Fri, 06 Nov 2026 08:49:40 GMT", 3 * time.Second, true},
		{"Friday, 06-Nov-26 08:49:40 GMT", 3 * time.Second, true},
		{"Fri Nov  6 08:49:40 2026", 3 * time.Second, true},
		{"Fri, 06 Nov 2026 08:49:30 GMT", 0, true},
		{"Fri, 31 Dec 9999 23:59:59 GMT", longest, true},
		{"Fri, 06 Nov 2026 08:49:40", 0, false},
	}
	for _, tt := range tests {
		if got, ok := parseRetryAfter(tt.value, now); got != tt.want || ok != tt.ok {
			t.Errorf("parseRetryAfter(%q) = %v, %v, want %v, %v", tt.value, got, ok, tt.want, tt.ok)
		}
	}
}

func TestBudget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, begun := NewBudget(BudgetConfig{Percent: 20, MinPerSecond: 1, Window: 5 * time.Second}), time.Now()
		spend := func(want int) {
			t.Helper()
			got := 0
			for b.spend() {
				got++
			}
			if got != want {
				t.Errorf("after %v: %d retries allowed, want %d", time.Since(begun), got, want)
			}
		}
		spend(5) // the minimum alone
		for range 14 {
			b.first()
		}
		spend(2) // 20% of 14, rounded down
		if diff := cmp.Diff(BudgetStatus{First: 14, Retries: 7}, b.Status()); diff != "" {
			t.Errorf("status (-want +got):\n%s", diff)
		}
		time.Sleep(5*time.Second - time.Nanosecond)
		spend(0)
		time.Sleep(time.Nanosecond)
		if diff := cmp.Diff(BudgetStatus{Remaining: 5}, b.Status()); diff != "" {
			t.Errorf("status a window later (-want +got):\n%s", diff)
		}
		time.Sleep(time.Hour)
		spend(5)
	})
}

func TestBudgetIsSharedAndSaysNo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := NewBudget(BudgetConfig{Percent: 50, Window: 10 * time.Second})
		sendWithin(t, policy(), b, ask("GET", ""), 503).want(t, "503", 1)      // half a retry
		sendWithin(t, policy(), b, ask("GET", ""), 503, 503).want(t, "503", 2) // one
		x := sendWithin(t, policy(), b, ask("GET", ""), 503)
		x.want(t, "503", 1)
		want := []exchange.Decision{{
			Kind: exchange.Retry, Policy: "safe", Outcome: exchange.Broken, Reason: exchange.BudgetExhausted, Line: 7,
		}}
		if diff := cmp.Diff(want, x.record.Decisions()); diff != "" {
			t.Errorf("decisions (-want +got):\n%s", diff)
		}
	})
}

// What is not going to be repeated anyway spends nothing.
func TestBudgetIsAskedLast(t *testing.T) {
	b := generous()
	sendWithin(t, policy(), b, ask("POST", ""), 503)
	sendWithin(t, policy(), b, ask("PUT", "larger than 8"), 503)
	sendWithin(t, policy(), b, ask("GET", ""), withHeader(503, "Retry-After", "60"))
	sendWithin(t, policy(), b, with(ask("GET", ""), &exchange.Record{Deadline: time.Now()}), 503)
	if got := b.Status().Retries; got != 0 {
		t.Errorf("%d retries spent, want 0", got)
	}
}

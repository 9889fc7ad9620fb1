package logging

import (
	"testing"
	"time"
)

// A clock that has written one time writes the next as if it had not.
func TestAClockWritesWhatTheLibraryDoes(t *testing.T) {
	var c clock
	start := time.Date(2026, 3, 29, 0, 59, 58, 0, time.UTC)
	berlin := time.FixedZone("CET", 3600)
	for _, at := range []time.Time{
		start, start.Add(1), start.Add(10), start.Add(120_000), start.Add(999_999_999), start.Add(100 * time.Millisecond),
		start.Add(time.Second), start.Add(1020 * time.Millisecond), start.In(berlin), start.Add(5).In(berlin),
		start.Add(5).In(time.FixedZone("", -3*3600-1800)), start.AddDate(-2025, 0, 0), start.AddDate(7000, 0, 0).Add(7),
		time.Unix(-1, 5).UTC(), time.Unix(0, 5).UTC(),
		{},
		start.Add(3), start,
	} {
		if got, want := string(c.append(nil, at)), at.Format(time.RFC3339Nano); got != want {
			t.Errorf("after %q: %s, want %s", c.last.Load().date, got, want)
		}
	}
}

// Whatever the clocks of the zone are set to meanwhile.
func TestAClockFollowsSummerTime(t *testing.T) {
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Skip("this machine knows no time zones")
	}
	var c clock
	for s := range 4 {
		at := time.Date(2026, 3, 29, 0, 59, 58+s, 1000, time.UTC).In(berlin)
		if got, want := string(c.append(nil, at)), at.Format(time.RFC3339Nano); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}

// What needs an escape is found wherever it stands.
func TestEachByteIsPlainOrNot(t *testing.T) {
	for at := range 8 {
		for c := range 256 {
			text := []byte("abcdefgh")
			text[at] = byte(c)
			if got, want := arePlain(string(text)), isPlain(byte(c)); got != want {
				t.Errorf("arePlain(%q) = %v, want %v", text, got, want)
			}
		}
	}
}

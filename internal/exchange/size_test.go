package exchange

import "testing"

func TestSize(t *testing.T) {
	tests := []struct {
		text string
		want Size
		back string // empty: as it was
	}{
		{"0", 0, ""},
		{"0KiB", 0, "0"},
		{"1", 1, ""},
		{"512B", 512, "512"},
		{"1023", 1023, ""},
		{"1024", 1 << 10, "1KiB"},
		{"1025", 1025, ""},
		{"64KiB", 64 << 10, ""},
		{"1536KiB", 1536 << 10, ""},
		{"1024KiB", 1 << 20, "1MiB"},
		{"10MiB", 10 << 20, ""},
		{"1GiB", 1 << 30, ""},
		{"007", 7, "7"},
		{"8589934591GiB", 8589934591 << 30, ""},
		{"9223372036854775807", 1<<63 - 1, ""},
	}
	for _, tt := range tests {
		var s Size
		if err := s.UnmarshalText([]byte(tt.text)); err != nil || s != tt.want {
			t.Errorf("%s is %d, %v, want %d", tt.text, int64(s), err, int64(tt.want))
		}
		if tt.back == "" {
			tt.back = tt.text
		}
		if got, err := s.MarshalText(); err != nil || string(got) != tt.back {
			t.Errorf("%s is written %s, %v, want %s", tt.text, got, err, tt.back)
		}
	}
}

func TestSizeRefused(t *testing.T) {
	for _, text := range []string{
		"", "B", "KiB", "-1", "-0", "+1", "1.5MiB", "1 KiB", " 1", "1KB", "1K", "1kib", "1TiB", "1KiBB", "1BKiB",
		"0x10", "1_000", "1e3", "٣", "8589934592GiB", "9223372036854775808", "99999999999999999999KiB",
	} {
		s := Size(-1)
		if err := s.UnmarshalText([]byte(text)); err == nil {
			t.Errorf("%q is read as %d, want an error", text, int64(s))
		}
		if s != -1 {
			t.Errorf("%q is refused, and yet stored as %d", text, int64(s))
		}
	}
}

func FuzzSize(f *testing.F) {
	for _, text := range []string{"0", "1KiB", "8589934591GiB", "9223372036854775807B", "-1", "+1", "1.5MiB"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		var s, back Size
		if s.UnmarshalText([]byte(text)) != nil {
			return
		}
		if s < 0 {
			t.Errorf("%q is read as %d", text, int64(s))
		}
		if err := back.UnmarshalText([]byte(s.String())); err != nil || back != s {
			t.Errorf("%q is written %s, and read again as %d, %v", text, s, int64(back), err)
		}
	})
}

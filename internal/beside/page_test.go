package beside

import (
	"os"
	"path/filepath"
	"testing"
)

func TestKeepReplacesWhatStandsBetweenItsMarks(t *testing.T) {
	tests := []struct{ name, page, to, want string }{
		{"between two", "head\n<a>\nold\n<b>\ntail\n", "<b>", "head\n<a>\n\nnew\n\n<b>\ntail\n"},
		{"nothing there yet", "<a>\n<b>\n", "<b>", "<a>\n\nnew\n\n<b>\n"},
		{"all below", "head\n<a>\n\nold\n<b>\n", "", "head\n<a>\n\nnew\n"},
		{"no first mark", "head\n<b>\n", "<b>", ""},
		{"no second mark", "<a>\ntail\n", "<b>", ""},
		{"in the wrong order", "<b>\n<a>\ntail\n", "<b>", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "page.md")
			if err := os.WriteFile(file, []byte(tt.page), 0o600); err != nil {
				t.Fatal(err)
			}
			want := tt.want
			err := Keep(file, "<a>", tt.to, "new\n")
			if want == "" {
				want = tt.page
				if err == nil {
					t.Error("no error")
				}
			} else if err != nil {
				t.Error(err)
			}
			if got, _ := os.ReadFile(file); string(got) != want {
				t.Errorf("the page is %q, want %q", got, want)
			}
		})
	}
}

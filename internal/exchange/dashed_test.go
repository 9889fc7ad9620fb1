package exchange

import "testing"

var dashed = []struct{ key, name string }{
	{"X-Debug", "X-Debug"},
	{"X_debug", "X-Debug"},
	{"X.debug", "X-Debug"},
	{"x-debug", "X-Debug"}, // no field of net/http's, and none that is read as another
	{"x_debug", "X-Debug"},
	{"X_debug", "X_debug"},
	{"X-Debug-", "X-Debug"},
	{"X_debug", "X-Debug-"},
	{"X-Debu", "X-Debug"},
	{"Xédebug", "X-Debug"},
	{"X_debug", "x-debug"},
	{"_debug", "-Debug"},
	{"\xff", "-"},
	{"Aé", "A-"},
	{"", ""},
	{"", "-"},
}

func TestReadAsSaysWhatDashedDoes(t *testing.T) {
	for _, tt := range dashed {
		compareDashed(t, tt.key, tt.name)
	}
}

func FuzzReadAs(f *testing.F) {
	for _, tt := range dashed {
		f.Add(tt.key, tt.name)
	}
	f.Fuzz(compareDashed)
}

func compareDashed(t *testing.T, key, name string) {
	for _, name := range []string{name, Dashed(key), Dashed(name)} {
		if got, want := ReadAs(key, name), Dashed(key) == name; got != want {
			t.Errorf("ReadAs(%q, %q) = %v, want %v", key, name, got, want)
		}
	}
	if got, want := Marked(key), Dashed(key) != key; got != want {
		t.Errorf("Marked(%q) = %v, want %v", key, got, want)
	}
}

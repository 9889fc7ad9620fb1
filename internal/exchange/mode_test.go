package exchange

import "testing"

func TestModesAreTheirWords(t *testing.T) {
	for _, word := range []string{"enforce", "shadow", "disabled"} {
		var m Mode
		if err := m.UnmarshalText([]byte(word)); err != nil {
			t.Errorf("%s: %v", word, err)
		}
		if back, err := m.MarshalText(); string(back) != word || err != nil {
			t.Errorf("%s is written %s, %v", word, back, err)
		}
	}
	var m Mode
	if err := m.UnmarshalText([]byte("off")); err == nil {
		t.Error("off is a mode, want an error: YAML reads it as a boolean")
	}
	if m != ModeEnforce {
		t.Errorf("the zero Mode is %v, want enforce", m)
	}
}

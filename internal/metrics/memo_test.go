package metrics

import "testing"

func TestAMemoMakesEachHandleOnce(t *testing.T) {
	made := 0
	m := memo[int, int]{make: func(k int) int { made++; return 10 * k }}
	const keys = 3 * fewFirst
	for round := range 3 {
		for k := range keys {
			if got := m.get(k); got != 10*k {
				t.Fatalf("round %d: get(%d) = %d, want %d", round, k, got, 10*k)
			}
			for place := range keys { // wherever the one before was found
				if got, _ := m.find(k, place); got != 10*k {
					t.Fatalf("find(%d, %d) = %d, want %d", k, place, got, 10*k)
				}
			}
		}
	}
	if made != keys {
		t.Errorf("%d handles were made, want %d", made, keys)
	}
}

func TestAMemoRemembersThePlace(t *testing.T) {
	m := memo[string, int]{make: func(k string) int { return len(k) }}
	for _, k := range []string{"a", "bb", "ccc"} {
		m.get(k)
	}
	place := 0
	for i, k := range []string{"bb", "ccc", "a"} {
		var got int
		if got, place = m.find(k, place); got != len(k) {
			t.Errorf("find(%q) = %d, want %d", k, got, len(k))
		}
		if want := []int{2, 3, 1}[i]; place != want {
			t.Errorf("behind %q the place is %d, want %d", k, place, want)
		}
	}
}

func TestWhatAMemoForgetsIsMadeAnew(t *testing.T) {
	made := map[int]int{}
	m := memo[int, int]{make: func(k int) int { made[k]++; return k }}
	for k := range 2 * fewFirst {
		m.get(k)
	}
	var forgotten int
	m.retain(func(k int) bool { return k%2 == 0 }, func(int) { forgotten++ })
	for k := range 2 * fewFirst {
		if m.get(k) != k || made[k] != 1+k%2 {
			t.Errorf("%d was made %d times, want %d", k, made[k], 1+k%2)
		}
	}
	if forgotten != fewFirst {
		t.Errorf("%d were forgotten, want %d", forgotten, fewFirst)
	}
}

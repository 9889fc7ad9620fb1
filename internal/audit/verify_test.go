package audit

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// written returns a file of five lines: begun, three requests, ended.
func written(t testing.TB) []byte {
	t.Helper()
	path := filepath.Join(t.TempDir(), "audit.jsonl")
	f, err := openFile(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.close()
	for i := range 5 {
		r := denied(fmt.Sprint("r-", i))
		if err := f.append(ofRequest(r, &r.Decisions()[1])); err != nil {
			t.Fatal(err)
		}
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// onto returns a file in memory that has text, if that is one.
func onto(text *[]byte) (*file, bool) {
	f := &file{prev: genesis, write: func(b []byte) (int, error) {
		*text = append(*text, b...)
		return len(b), nil
	}}
	return f, len(*text) == 0 || f.goOn(bytes.Clone(*text))
}

// A chain begins with its first line, unless it is said that it need not: that
// the beginning was cut off looks like a rotation.
func TestTheBeginningCutOff(t *testing.T) {
	good := bytes.SplitAfter(written(t), []byte("\n"))[:5]
	join := func(lines ...[]byte) []byte { return bytes.Join(lines, nil) }
	for _, tt := range []struct {
		name  string
		files [][]byte
		wrong string // empty: sound
	}{
		{"all of it", [][]byte{join(good...)}, ""},
		{"in two files", [][]byte{join(good[:2]...), join(good[2:]...)}, ""},
		{"in two files, the older one empty", [][]byte{nil, join(good...)}, ""},
		{"the newer file alone", [][]byte{join(good[2:]...)}, "a:1: has number 3, and must have 1"},
		{"behind an empty one", [][]byte{nil, join(good[1:]...)}, "b:1: has number 2, and must have 1"},
		{"the first line half gone", [][]byte{join(good[0][9:], good[1])}, "a:1: is no line of an audit file"},
	} {
		_, err := verifyAs(Chain{}, tt.files...)
		if tt.wrong == "" && err != nil || tt.wrong != "" && (err == nil || !strings.HasPrefix(err.Error(), tt.wrong)) {
			t.Errorf("%s: %v, want %q", tt.name, err, tt.wrong)
		}
		if _, err := verify(tt.files...); (err == nil) != !strings.HasSuffix(tt.wrong, "file") {
			t.Errorf("%s, from the middle: %v", tt.name, err)
		}
	}
}

// Every way to change a file shows, but one: to take lines off its end.
func TestVerify(t *testing.T) {
	good := bytes.SplitAfter(written(t), []byte("\n"))[:5]
	join := func(lines ...[]byte) []byte { return bytes.Join(lines, nil) }
	edited := func(i int, old, now string) []byte {
		all := bytes.Join(good, nil)
		line := bytes.Replace(good[i], []byte(old), []byte(now), 1)
		return bytes.Replace(all, good[i], line, 1)
	}
	tests := []struct {
		name  string
		text  []byte
		wrong string // empty: sound
	}{
		{"as it was written", join(good...), ""},
		{"nothing", nil, ""},
		{"the end cut off", join(good[:3]...), ""},
		{"the beginning in another file", join(good[2:]...), ""},
		{"a name changed", edited(2, "alice", "bobby"), "a:4: names "},
		{"the last one changed", edited(4, "alice", "bobby"), ""}, // its hash says so, to who kept it
		{"a space put in", edited(1, `,`, `, `), "a:3: names "},
		{"the hash of the line before changed", edited(2, `"prev":"`, `"prev":"0`), "a:3: names "},
		{"a line taken out", join(good[0], good[2], good[3]), "a:2: has number 3, and must have 2"},
		{"a line twice", join(good[0], good[1], good[1]), "a:3: has number 2, and must have 3"},
		{"two lines swapped", join(good[0], good[2], good[1]), "a:2: has number 3, and must have 2"},
		{"an empty line", join(good[0], []byte("\n"), good[1]), "a:2: is no line of an audit file"},
		{"a word between", join(good[0], []byte("hello\n"), good[1]), "a:2: is no line of an audit file"},
		{"a word at the end", join(good[0], []byte("hello\n")), "a:2: is no line of an audit file"},
		{"a line that is half gone", join(good[0], good[1][:50], []byte("\n"), good[2]), "a:2: is no line of an audit file"},
		{"another chain begins", join(good[0], good[0]), "a:2: begins another chain"},
		{"a very long line", bytes.Repeat([]byte("x"), maxLine+1), "a:1: is no line of an audit file: it is longer than any"},
		{"much that is none", bytes.Repeat([]byte("x\n"), 20*maxLine), "a:1: is no line of an audit file"},
		{"not the genesis, and yet the first", edited(0, "genesis", "genesys"), "a:1: names genesys"},
		{"the last newline cut off", bytes.TrimSuffix(join(good...), []byte("\n")), ""},
	}
	for _, tt := range tests {
		_, err := verify(tt.text)
		var broken *Broken
		if tt.wrong == "" && err != nil || tt.wrong != "" && (!errors.As(err, &broken) || !strings.HasPrefix(err.Error(), tt.wrong)) {
			t.Errorf("%s: %v, want %q", tt.name, err, tt.wrong)
		}
	}
}

// Wherever a process crashes within a line, the next one goes on behind it,
// and what is there stays there. A crash is no tampering.
func TestCrash(t *testing.T) {
	good := written(t)
	for at := range len(good) {
		c, err := verify(good[:at])
		whole := bytes.Count(good[:at], []byte("\n"))
		atEnd := at == 0 || good[at-1] == '\n' || good[at] == '\n'
		if err != nil || (c.Rest == nil) != atEnd {
			t.Fatalf("cut at %d: %v, rest at %v", at, err, c.Rest)
		}
		text := bytes.Clone(good[:at])
		f, ok := onto(&text)
		if !ok {
			t.Fatalf("cut at %d, it is no audit file", at)
		}
		for range 2 {
			if err := f.append(ofFile("begun", "")); err != nil {
				t.Fatal(err)
			}
		}
		c, err = verify(text)
		if err != nil || c.Lines < whole+2 || len(c.Torn) > 1 || (len(c.Torn) == 1) == atEnd || !bytes.HasPrefix(text, good[:at]) {
			t.Fatalf("cut at %d: %v, %d lines, torn at %v, in %s", at, err, c.Lines, c.Torn, text)
		}
	}
}

// A half line is a crash's only as it was left.
func TestAHalfLineThatWasChanged(t *testing.T) {
	text := written(t)
	text = text[:len(text)-200]
	f, ok := onto(&text)
	if !ok || f.append(ofFile("begun", "")) != nil {
		t.Fatal("it is not gone on with")
	}
	if _, err := verify(text); err != nil {
		t.Fatal(err)
	}
	at := bytes.Index(text, []byte(`{"seq":5`)) + 3
	text[at]++
	if _, err := verify(text); err == nil || err.Error() != "a:5: is no line of an audit file" {
		t.Errorf("%v, want it told", err)
	}
}

// The same on a disk that takes a part of every other line.
func TestPartsOfLines(t *testing.T) {
	for part := range 300 {
		var text []byte
		f, _ := onto(&text)
		whole, written, failed := f.write, 0, 0
		for i := range 6 {
			f.write = whole
			if i%3 > 0 { // two in a row
				f.write = func(b []byte) (int, error) {
					n, _ := whole(b[:min(part, len(b))])
					return n, errFull
				}
			}
			if f.append(ofFile("begun", "")) != nil {
				failed++
			} else {
				written++
			}
		}
		f.write = whole
		if err := f.append(ofFile("ended", "")); err != nil {
			t.Fatal(err)
		}
		c, err := verify(text)
		if got := strings.Count(string(text), `"result":"begun"`); err != nil || got < written || written+failed != 6 {
			t.Fatalf("parts of %d: %v, %d lines are there, want %d: %v", part, err, got, written, c)
		}
	}
}

// Where a file ends half, and another one follows.
func TestCrashBeforeARotation(t *testing.T) {
	folder := t.TempDir()
	old, now := filepath.Join(folder, "old"), filepath.Join(folder, "now")
	f, err := openFile(old)
	if err != nil {
		t.Fatal(err)
	}
	_ = f.append(ofFile("begun", ""))
	n, _ := f.f.WriteString(`{"seq":2,"pr`)
	f.broken, f.open = []byte(`{"seq":2,"pr`)[:n], true
	next, err := f.reopen(now)
	if err != nil {
		t.Fatal(err)
	}
	f.close()
	defer next.close()
	if err := next.append(ofFile("reopened", "")); err != nil {
		t.Fatal(err)
	}
	if c := sound(t, old, now); len(c.Torn) != 1 || c.Torn[0].String() != "a:2" {
		t.Errorf("torn at %v, want a:2", c.Torn)
	}
	sound(t, now) // and alone
}

// A file that is no audit file is not written to.
func TestForeignFile(t *testing.T) {
	for _, text := range []string{"hello\n", "hello", "{}\n", `{"time":"2026"}` + "\n", "\n", strings.Repeat("x", 3*maxLine)} {
		path := filepath.Join(t.TempDir(), "audit.jsonl")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		f, err := openFile(path)
		if err == nil {
			f.close()
			t.Errorf("%.20q is taken for an audit file", text)
		}
	}
}

func FuzzVerify(f *testing.F) {
	good := written(f)
	f.Add(good)
	f.Add(good[:len(good)/2])
	f.Add([]byte("{}\n\n{\"seq\":1,\"prev\":\"genesis\"}\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		c, err := verify(text)
		var broken *Broken
		switch {
		case err == nil && c.Lines > 0 && c.Last != c.First+uint64(c.Lines)-1:
			t.Errorf("sound, and from %d to %d in %d lines", c.First, c.Last, c.Lines)
		case err != nil && !errors.As(err, &broken):
			t.Errorf("%v says not where", err)
		}
		after := bytes.Clone(text)
		end, ok := onto(&after)
		if !ok {
			return
		}
		if err := end.append(ofFile("begun", "")); err != nil {
			t.Fatal(err)
		}
		if !bytes.HasPrefix(after, text) {
			t.Error("what was there was changed")
		}
		if _, now := verify(after); err == nil && now != nil {
			t.Errorf("it was sound, and is not once a line is written: %v", now)
		}
	})
}

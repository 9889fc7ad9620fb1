package beside

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"time"
)

// Where says in one line what was run, on what, and when.
func Where(binary string) string {
	return fmt.Sprintf("%s, %s/%s, %d CPUs, %s, %s",
		version(binary), runtime.GOOS, runtime.GOARCH, runtime.NumCPU(), processor(), time.Now().Format(time.DateOnly))
}

// version returns what the sidecar says of itself, in one line.
func version(binary string) string {
	out, err := exec.Command(binary, "version").Output()
	if err != nil {
		return err.Error()
	}
	return strings.Join(strings.Fields(string(out)), " ")
}

// processor returns the name of the first one.
func processor() string {
	text, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return err.Error()
	}
	_, name, _ := strings.Cut(string(text), "model name\t: ")
	name, _, _ = strings.Cut(name, "\n")
	return name
}

// Keep writes text into the file page, in place of what stands there between
// the lines from and to; with no line to, in place of all below from.
func Keep(page, from, to, text string) error {
	old, err := os.ReadFile(page)
	if err != nil {
		return err
	}
	above, below, ok := strings.Cut(string(old), from+"\n")
	if !ok {
		return fmt.Errorf("%s has no line %s", page, from)
	}
	text = above + from + "\n\n" + text
	if to != "" {
		if _, below, ok = strings.Cut(below, to+"\n"); !ok {
			return fmt.Errorf("%s has no line %s below %s", page, to, from)
		}
		text += "\n" + to + "\n" + below
	}
	return os.WriteFile(page, []byte(text), 0o644)
}

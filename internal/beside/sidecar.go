package beside

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"time"
)

// patience is how long a sidecar may take until it serves.
const patience = 20 * time.Second

// Sidecar runs the sidecar that is in binary under the policy in file. Its log
// goes into a file of the same name with .log behind it.
func Sidecar(binary, file string) (*Process, error) {
	return Listening(file+".log", binary, "run", "--policy", file)
}

// Listening runs a command that is a sidecar in the end, and waits until it
// serves. Its log goes into the file log.
func Listening(log string, command ...string) (*Process, error) {
	stderr, err := os.Create(log)
	if err != nil {
		return nil, err
	}
	defer stderr.Close() // the process has its own
	cmd := exec.Command(command[0], command[1:]...)
	cmd.Stderr = stderr
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	p := &Process{cmd: cmd}
	for end := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
		said, err := os.ReadFile(log)
		if err == nil && p.hears(said) {
			return p, nil
		}
		if err != nil || p.gone() || time.Now().After(end) {
			p.Stop()
			return nil, fmt.Errorf("%s: it does not listen: %s", command[0], bytes.TrimSpace(said))
		}
	}
}

// hears looks through what p has said for where it listens, and reports whether
// it does.
func (p *Process) hears(said []byte) bool {
	for text := range bytes.Lines(said) {
		var line struct{ Msg, Listener, Address string }
		if json.Unmarshal(text, &line) != nil || line.Msg != "listening" {
			continue
		}
		switch line.Listener {
		case "data":
			p.URL = "http://" + line.Address
		case "telemetry":
			p.Telemetry = "http://" + line.Address
		}
	}
	return p.URL != "" && p.Telemetry != ""
}

// gone reports whether p has ended, and waits to be asked how.
func (p *Process) gone() bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.cmd.Process.Pid))
	// The state stands behind the name, in brackets (proc_pid_stat(5)).
	return err == nil && bytes.Contains(stat, []byte(") Z "))
}

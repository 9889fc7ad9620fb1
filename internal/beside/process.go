// Package beside runs what is compared side by side, as processes of their
// own: the sidecar, and a bare httputil.ReverseProxy built from the same tree.
// It is for internal/bench and internal/scenarios.
package beside

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Process is one that serves.
type Process struct {
	// URL is where, and Telemetry where it tells of itself: of the sidecar
	// only.
	URL, Telemetry string

	cmd *exec.Cmd
}

// Stop ends p at once.
func (p *Process) Stop() {
	_ = p.cmd.Process.Kill()
	_ = p.cmd.Wait()
}

// End tells p to end, and waits until it has. Its error is that with which p
// exits.
func (p *Process) End() error {
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	return p.cmd.Wait()
}

// CPU returns the time that the threads of p have run so far, in user and
// system mode. A thread that has ended is not in it; Go keeps those it has.
func (p *Process) CPU() (time.Duration, error) {
	threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", p.cmd.Process.Pid))
	if err != nil || len(threads) == 0 {
		return 0, fmt.Errorf("/proc/PID/task/*/schedstat: %w", os.ErrNotExist)
	}
	var sum time.Duration
	for _, thread := range threads {
		text, err := os.ReadFile(thread)
		if err != nil {
			return 0, err
		}
		// The first number is the time on a CPU, in nanoseconds
		// (https://docs.kernel.org/scheduler/sched-stats.html).
		first, _, _ := strings.Cut(string(text), " ")
		n, err := strconv.ParseInt(first, 10, 64)
		if err != nil {
			return 0, fmt.Errorf("%s says %q", thread, text)
		}
		sum += time.Duration(n)
	}
	return sum, nil
}

// Memory returns how many bytes of memory p has, as the system counts them.
func (p *Process) Memory() (int64, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", p.cmd.Process.Pid))
	if err != nil {
		return 0, err
	}
	fields := strings.Fields(string(text)) // resident is the second (proc_pid_statm(5))
	if len(fields) < 2 {
		return 0, fmt.Errorf("/proc/PID/statm says %q", text)
	}
	pages, err := strconv.ParseInt(fields[1], 10, 64)
	return pages * int64(os.Getpagesize()), err
}

var level = regexp.MustCompile(`(?m)^go_goroutines (\d+)$`)

// Goroutines returns how many p has.
func (p *Process) Goroutines() (int, error) {
	url := p.URL + toldAt
	if p.Telemetry != "" {
		url = p.Telemetry + "/metrics"
	}
	resp, err := http.Get(url)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return 0, err
	}
	m := level.FindSubmatch(text)
	if m == nil {
		return 0, fmt.Errorf("%s does not tell go_goroutines", url)
	}
	return strconv.Atoi(string(m[1]))
}

// Start runs a command whose first line of output is its URL.
func Start(args ...string) (*Process, error) {
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	p := &Process{URL: strings.TrimSpace(line), cmd: cmd}
	if err != nil {
		p.Stop()
		return nil, fmt.Errorf("%s: %w", args[1], err)
	}
	return p, nil
}

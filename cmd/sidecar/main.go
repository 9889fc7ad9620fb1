// Command sidecar is a reverse proxy that stands next to one service and
// applies a policy file to every request: validation, authentication,
// authorisation, rate limits, circuit breaking, retries and fault drills.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/alecthomas/kong"
)

// The exit codes.
const (
	exitOK      = 0
	exitFailure = 1
	exitUsage   = 2
)

// commands is the command line.
type commands struct {
	Run        runCmd        `cmd:"" help:"Run the sidecar. It reloads the policy file when that changes and on SIGHUP; SIGTERM drains and ends."`
	Check      checkCmd      `cmd:"" help:"Say everything that is wrong with a policy file."`
	Health     healthCmd     `cmd:"" help:"Say how a running sidecar fares; exit code 0 when it is healthy or degraded."`
	Experiment experimentCmd `cmd:"" help:"Have a running sidecar break something for a while, and say whether clients noticed; exit code 0 when the steady state held."`
	Schema     schemaCmd     `cmd:"" help:"Print the JSON Schema of policy files, for editors."`
	Token      tokenCmd      `cmd:"" help:"Make a signed token, for trying a policy out."`
	APIKey     apikeyCmd     `cmd:"" name:"apikey" help:"Make an API key, and the entry that lets it in."`
	Audit      auditCmd      `cmd:"" help:"Look at the audit file."`
	Demo       demoCmd       `cmd:"" help:"Run a flaky upstream and the sidecar in front of it, on loopback."`
	Version    versionCmd    `cmd:"" help:"Print the version."`
}

// process is what a command has of the process it runs in.
type process struct {
	ctx    context.Context // ends with SIGTERM or an interrupt
	hangup <-chan os.Signal
	stdout io.Writer
	stderr io.Writer
}

// errSaid ends a command whose output has said all already.
var errSaid = errors.New("")

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	hangup := make(chan os.Signal, 1)
	signal.Notify(hangup, syscall.SIGHUP)
	p := &process{ctx: ctx, hangup: hangup, stdout: os.Stdout, stderr: os.Stderr}
	os.Exit(p.main(os.Args[1:]))
}

// main runs the command in args and returns its exit code.
func (p *process) main(args []string) int {
	var c commands
	exited, code := false, exitOK
	parser, err := kong.New(&c,
		kong.Name("sidecar"),
		kong.Description("A reverse proxy that applies resilience policies to one service."),
		kong.Writers(p.stdout, p.stderr),
		kong.Exit(func(status int) { exited, code = true, status }), // after --help
		kong.ConfigureHelp(kong.HelpOptions{Compact: true}),
	)
	if err != nil {
		fmt.Fprintln(p.stderr, "sidecar:", err)
		return exitFailure
	}
	parsed, err := parser.Parse(args)
	if exited {
		return code
	}
	if err != nil {
		fmt.Fprintf(p.stderr, "sidecar: %v\nTry: sidecar --help\n", err)
		return exitUsage
	}
	if err := parsed.Run(p); err != nil {
		if !errors.Is(err, errSaid) {
			fmt.Fprintln(p.stderr, "sidecar:", err)
		}
		return exitFailure
	}
	return exitOK
}

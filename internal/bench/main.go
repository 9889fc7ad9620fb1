// Command bench measures, side by side on real sockets, what the sidecar costs
// against a bare httputil.ReverseProxy with a tuned Transport, built from the
// same tree.
//
// What is compared is CPU time a request of the proxy's own process: it stays
// comparable on a shared machine, where requests a second and latencies do
// not. The two run in turn, round by round, and the ratio is taken within each
// round.
//
//	go run ./internal/bench -sidecar bin/sidecar
package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"time"
)

func main() {
	if len(os.Args) > 1 && (os.Args[1] == "upstream" || os.Args[1] == "bare") {
		child(os.Args[1], os.Args[2:])
		return
	}
	binary := flag.String("sidecar", "bin/sidecar", "the sidecar to measure")
	rounds := flag.Int("rounds", 5, "how often each proxy is measured")
	length := flag.Duration("length", 3*time.Second, "how long each measurement takes")
	clients := flag.Int("clients", 64, "connections that send requests")
	flag.Parse()
	if err := bench(*binary, *rounds, *length, *clients); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func bench(binary string, rounds int, length time.Duration, clients int) error {
	folder, err := os.MkdirTemp("", "sidecar-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(folder)
	up, err := start(os.Args[0], "upstream")
	if err != nil {
		return err
	}
	defer up.stop()
	bare, err := start(os.Args[0], "bare", up.url)
	if err != nil {
		return err
	}
	defer bare.stop()
	full, token, err := startSidecar(binary, filepath.Join(folder, "bench.yaml"), up.url)
	if err != nil {
		return err
	}
	defer full.stop()

	fmt.Printf("%s, %d CPUs, %s; %d connections, 1 KiB GET, %v a measurement\n\n",
		runtime.Version(), runtime.NumCPU(), time.Now().Format(time.DateOnly), clients, length)
	fmt.Println("round   bare us/req   sidecar us/req   ratio")
	var ratios []float64
	for round := range rounds + 1 {
		b, err := measure(bare, "", length, clients)
		if err != nil {
			return err
		}
		s, err := measure(full, token, length, clients)
		if err != nil {
			return err
		}
		if round == 0 {
			continue // warms both up
		}
		ratio := float64(s) / float64(b)
		ratios = append(ratios, ratio)
		fmt.Printf("%5d   %11.1f   %14.1f   %5.2f\n", round, micros(b), micros(s), ratio)
	}
	slices.Sort(ratios)
	fmt.Printf("\nfull chain, HS256 token, access log off, against a bare ReverseProxy: %.2f [%.2f to %.2f], median of %d\n",
		ratios[len(ratios)/2], ratios[0], ratios[len(ratios)-1], len(ratios))
	return nil
}

func micros(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }

// measure loads p for length, and returns the CPU time that a request cost it.
func measure(p *proc, token string, length time.Duration, clients int) (time.Duration, error) {
	before, err := p.cpu()
	if err != nil {
		return 0, err
	}
	requests, err := load(p.url, token, length, clients)
	if err != nil {
		return 0, err
	}
	after, err := p.cpu()
	if err != nil {
		return 0, err
	}
	return (after - before) / time.Duration(requests), nil
}

package main

import (
	"fmt"
	"strings"
)

// tables returns the results as a page shows them.
func (r *results) tables() string {
	return r.contestTable() + "\n" + r.otherTable() + "\n" + r.stepTable()
}

// contestTable is what a request costs beside the bare proxy.
func (r *results) contestTable() string {
	t := table{head: []string{"CPU time of a request", "bare, us", "sidecar, us", "sidecar / bare", "at most", "kept"}}
	for _, c := range promised {
		bare, own := r.cpu[run{bare, c.load.name}], r.cpu[c.run()]
		against := own.with(bare, ratio)
		t.add(c.name, bare.text(1), own.text(1), "**"+against.text(2)+"**", fmt.Sprintf("%.2f", c.atMost), kept(against.median(), c.atMost))
	}
	return t.String()
}

// A bound in microseconds holds for one machine at one time: what a new token may
// cost, and what the bare proxy cost there for GET 1 KiB.
const (
	coldAtMost = 35
	bareThen   = 54.6
)

// otherTable is the rest of what must hold.
func (r *results) otherTable() string {
	t := table{head: []string{"besides", "measured", "at most", "kept"}}
	most := func(name string, f figures, decimals int, unit string, limit float64) {
		t.add(name, f.text(decimals)+unit, fmt.Sprintf("%g%s", limit, unit), kept(f.median(), limit))
	}
	most("a new RS256 token with each request: CPU time over that of the full policy",
		r.cold, 1, " us", coldAtMost)
	share, mostShare := r.cold.with(r.cpu[run{bare, getSmall.name}], ratio), coldAtMost/bareThen
	t.add(fmt.Sprintf("the same against the bare proxy's GET, which took %g us where %d us were promised", bareThen, coldAtMost),
		share.text(2), fmt.Sprintf("%.2f", mostShare), kept(share.median(), mostShare))
	fullOne, emptyOne := r.benchmarks[fullChain], r.benchmarks[emptyChain]
	most("the chain's own cost: `BenchmarkChain`, full less empty",
		of(fullOne, took).with(of(emptyOne, took), difference), 2, " us", 1.5)
	t.add("the same, in allocations", of(fullOne, allocations).with(of(emptyOne, allocations), difference).text(0), "-", "-")
	most("JSON Schema on a body of 1 KiB: `BenchmarkSchema`", of(r.benchmarks[schema], took), 1, " us", 10)
	for i, c := range connections {
		held := r.memory[full][i]
		t.add(fmt.Sprintf("memory (RSS) with %d idle connections", c.count),
			fmt.Sprintf("%.0f MiB; bare: %.0f MiB", held, r.memory[bare][i]), fmt.Sprintf("%d MiB", c.atMost), kept(held, float64(c.atMost)))
	}
	return t.String()
}

// stepTable is what becomes of a request's cost when something is different.
func (r *results) stepTable() string {
	t := table{head: []string{getSmall.name, "CPU time, us", "against bare"}}
	for _, c := range told {
		own := r.cpu[c.run()]
		t.add(c.name, own.text(1), own.with(r.cpu[run{bare, c.load.name}], ratio).text(2))
	}
	return t.String()
}

func kept(got, atMost float64) string {
	if got <= atMost {
		return "yes"
	}
	return "**no**"
}

// table is one in Markdown.
type table struct {
	head []string
	rows [][]string
}

func (t *table) add(cells ...string) { t.rows = append(t.rows, cells) }

// String returns t with its columns aligned, as it is easy to read without a
// browser too.
func (t *table) String() string {
	widths := make([]int, len(t.head))
	for _, row := range append([][]string{t.head}, t.rows...) {
		for i, cell := range row {
			widths[i] = max(widths[i], len(cell))
		}
	}
	var b strings.Builder
	line := func(cells []string) {
		for i, cell := range cells {
			fmt.Fprintf(&b, "| %-*s ", widths[i], cell)
		}
		b.WriteString("|\n")
	}
	line(t.head)
	for _, width := range widths {
		b.WriteString("|" + strings.Repeat("-", width+2))
	}
	b.WriteString("|\n")
	for _, row := range t.rows {
		line(row)
	}
	return b.String()
}

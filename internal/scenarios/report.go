package main

import (
	"fmt"
	"strings"
	"time"
)

// report is what a scenario has to say, as Markdown.
type report struct {
	text   strings.Builder
	broken []string // promises
}

func (r *report) say(format string, args ...any) {
	fmt.Fprintf(&r.text, strings.Join(strings.Fields(format), " ")+"\n\n", args...)
}

// table prints rows of which the first is the heads.
func (r *report) table(rows ...[]string) {
	widths := make([]int, len(rows[0]))
	for _, row := range rows {
		for i, cell := range row {
			widths[i] = max(widths[i], len([]rune(cell)))
		}
	}
	for n, row := range rows {
		for i, cell := range row {
			pad := strings.Repeat(" ", widths[i]-len([]rune(cell)))
			if i == 0 {
				r.text.WriteString("| " + cell + pad + " |")
			} else {
				r.text.WriteString(" " + pad + cell + " |")
			}
		}
		r.text.WriteString("\n")
		if n == 0 {
			for i, width := range widths {
				if i == 0 {
					r.text.WriteString("|" + strings.Repeat("-", width+2) + "|")
				} else {
					r.text.WriteString(strings.Repeat("-", width+1) + ":|")
				}
			}
			r.text.WriteString("\n")
		}
	}
	r.text.WriteString("\n")
}

// span is a time since the load began.
type span struct {
	name     string
	from, to time.Duration
}

// bySpan returns the rows of a table that tells of each contender in each span.
func bySpan(all []*contender, spans ...span) [][]string {
	rows := [][]string{{"", "", "requests", "failed", "p50", "p90", "p99", "longest"}}
	for _, c := range all {
		for _, span := range spans {
			s := c.samples.between(span.from, span.to)
			rows = append(rows, []string{
				c.name, span.name, fmt.Sprint(len(s)), percent(len(s)-len(s.good()), len(s)),
				s.millis(0.5), s.millis(0.9), s.millis(0.99), s.millis(1),
			})
		}
	}
	return rows
}

// lateness tells the load's own part of all times.
func (r *report) lateness(all []*contender) {
	var late time.Duration
	for _, c := range all {
		late = max(late, c.samples.quantileOf(0.99, func(one sample) time.Duration { return one.late }))
	}
	r.say("Times begin when a request is due; the load itself sends 99 %% of them within %s.", millis(late))
}

// promise tells whether a promise is kept. One that is not fails the run.
func (r *report) promise(kept bool, format string, args ...any) {
	if !kept {
		r.broken = append(r.broken, fmt.Sprintf(format, args...))
	}
	r.told(kept, format, args...)
}

// told is a promise of which the machine has its part, such as of a time: it
// fails no run.
func (r *report) told(kept bool, format string, args ...any) {
	word := "kept"
	if !kept {
		word = "**not kept**"
	}
	fmt.Fprintf(&r.text, "* %s: %s\n", word, fmt.Sprintf(format, args...))
}

func percent(part, whole int) string {
	if whole == 0 {
		return "-"
	}
	return fmt.Sprintf("%.1f %%", 100*float64(part)/float64(whole))
}

// millis returns the quantile of s, if there are any.
func (s samples) millis(share float64) string {
	if len(s) == 0 {
		return "-"
	}
	return millis(s.quantile(share))
}

func millis(d time.Duration) string {
	return fmt.Sprintf("%.1f ms", float64(d)/float64(time.Millisecond))
}

func seconds(d time.Duration) string { return fmt.Sprintf("%.1f s", d.Seconds()) }

func mib(n int64) string { return fmt.Sprintf("%d MiB", n>>20) }

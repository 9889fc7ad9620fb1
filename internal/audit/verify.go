package audit

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
)

// Chain is what Verify has found to be sound. The zero value is a chain of
// which nothing was read yet. Files that follow one another are read one after
// the other.
type Chain struct {
	// FromMiddle lets the chain begin with another line than the very first:
	// those before it are kept elsewhere, or nobody can tell where they went.
	// Default false: line 1 must be there.
	FromMiddle bool

	First uint64 // the number of the first line; above 1 only with FromMiddle
	Last  uint64 // the number of the last line
	Hash  string // of the last line
	Lines int
	Torn  []Place // half lines that the line after them explains: a crash or a full disk
	Rest  *Place  // what stands behind the last line and is no line: a crash, or one being written

	broken []byte // not explained yet
	at     Place  // where that begins
}

// Place is a line of a file, from 1.
type Place struct {
	File string
	Line int
}

// String returns "file:line".
func (p Place) String() string { return fmt.Sprintf("%s:%d", p.File, p.Line) }

// Broken is what is wrong with a chain, and where first.
type Broken struct {
	Place
	Why string
}

// Error returns "file:line: why".
func (b *Broken) Error() string { return b.Place.String() + ": " + b.Why }

// Verify reads r, the file called name, as what comes next in the chain. The
// error is *Broken where the chain is, and else r's.
func (c *Chain) Verify(name string, r io.Reader) error {
	lines := bufio.NewReaderSize(r, maxLine)
	for at := (Place{name, 1}); ; at.Line++ {
		text, err := lines.ReadSlice('\n')
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
			return &Broken{at, "is no line of an audit file: it is longer than any"}
		case err != nil && !errors.Is(err, io.EOF):
			return err
		}
		if len(text) > 0 {
			if wrong := c.next(at, text); wrong != nil {
				return wrong
			}
		}
		if err != nil {
			return nil
		}
	}
}

// End says whether all that was read is sound. What is behind the last line
// and has no newline may be a line that is just being written.
func (c *Chain) End() error {
	switch {
	case len(c.broken) == 0:
		return nil
	case bytes.ContainsRune(c.broken, '\n'):
		return c.unexplained()
	}
	c.Rest = &c.at
	return nil
}

// next takes one line, with its newline if it has one.
func (c *Chain) next(at Place, text []byte) error {
	l, ok := parse(bytes.TrimSuffix(text, []byte{'\n'}))
	if !ok {
		if len(c.broken) == 0 {
			c.at = at
		} else if c.open() {
			c.broken = append(c.broken, '\n') // the file before ended so
		}
		if c.broken = append(c.broken, text...); len(c.broken) > 16*maxLine {
			return c.unexplained()
		}
		return nil
	}
	if wrong := c.explained(at, l); wrong != nil {
		return wrong
	}
	if wrong := c.follows(l); wrong != "" {
		return &Broken{at, wrong}
	}
	if c.Lines == 0 {
		c.First = l.Seq
	}
	c.Lines, c.Last, c.Hash = c.Lines+1, l.Seq, hash(bytes.TrimSuffix(text, []byte{'\n'}))
	return nil
}

func (c *Chain) open() bool { return len(c.broken) > 0 && c.broken[len(c.broken)-1] != '\n' }

// explained checks that l tells of what is broken before it.
func (c *Chain) explained(at Place, l line) error {
	if c.open() {
		c.broken = append(c.broken, '\n')
	}
	switch told := l.Event == fileEvent && l.Result == torn; {
	case len(c.broken) == 0 && told && c.Lines > 0:
		return &Broken{at, "tells of a half line before it that is not there"}
	case len(c.broken) > 0 && (!told || l.Torn != hash(c.broken)):
		return c.unexplained()
	case told && len(c.broken) > 0:
		c.Torn, c.broken = append(c.Torn, c.at), nil
	}
	return nil
}

func (c *Chain) unexplained() error {
	return &Broken{c.at, "is no line of an audit file"}
}

// follows says what is wrong with l as the next line; nothing if it is.
func (c *Chain) follows(l line) string {
	switch {
	case c.Lines == 0 && l.Seq > 1 && !c.FromMiddle:
		return fmt.Sprintf("has number %d, and must have 1: the lines before it are missing", l.Seq)
	case c.Lines == 0 && (l.Seq == 1) == (l.Prev == genesis):
		return "" // whatever was before
	case l.Prev == genesis && l.Seq == 1:
		return "begins another chain"
	case l.Seq != c.Last+1:
		return fmt.Sprintf("has number %d, and must have %d: lines are missing, put in or out of order", l.Seq, c.Last+1)
	case l.Prev != c.Hash:
		return fmt.Sprintf("names %s as the line before it, which is %s: one of the two was changed", l.Prev, c.Hash)
	}
	return ""
}

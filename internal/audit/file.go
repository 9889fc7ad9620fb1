package audit

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"
	"time"
)

// genesis is what the first line of all names in place of a line before it.
const genesis = "genesis"

// file is the end of a chain, and where its next line goes. It is for one
// goroutine.
type file struct {
	f      *os.File
	write  func([]byte) (int, error) // to f
	seq    uint64                    // of the last line; 0 if there is none
	prev   string                    // the hash of the last line, or genesis
	broken []byte                    // behind the last line: of a process that crashed, or a disk that was full
	open   bool                      // what it ends with is no newline
}

// openFile opens the file at path, makes it if it is not there, and reads
// where its chain ends.
func openFile(path string) (*file, error) {
	// Not to wait for somebody who reads a pipe.
	f, err := os.OpenFile(path, os.O_RDWR|os.O_APPEND|os.O_CREATE|syscall.O_NONBLOCK, 0o600)
	if err != nil {
		return nil, err
	}
	out := &file{f: f, prev: genesis}
	out.write = func(b []byte) (int, error) {
		_ = f.SetWriteDeadline(time.Now().Add(patience)) // of a pipe; a file has none
		return f.Write(b)
	}
	if err := out.begin(); err != nil {
		f.Close()
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return out, nil
}

// begin finds the end of the chain. A pipe or a device has none.
func (f *file) begin() error {
	info, err := f.f.Stat()
	if err != nil || !info.Mode().IsRegular() {
		return err
	}
	if lock(f.f) != nil {
		return errors.New("is written by another process")
	}
	end := make([]byte, min(info.Size(), 2*maxLine))
	if _, err := f.f.ReadAt(end, info.Size()-int64(len(end))); err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	if len(end) > 0 && !f.goOn(end) {
		return errors.New("does not end with a line of an audit file; move it away")
	}
	return nil
}

// goOn takes up the chain that ends with end, and reports whether it is one.
func (f *file) goOn(end []byte) bool {
	f.open = end[len(end)-1] != '\n'
	for stop := len(end); stop > 0; {
		text := bytes.TrimSuffix(end[:stop], []byte{'\n'})
		start := bytes.LastIndexByte(text, '\n') + 1
		text = text[start:]
		if l, ok := parse(text); ok {
			f.seq, f.prev, f.broken = l.Seq, hash(text), bytes.Clone(end[stop:])
			return true
		}
		stop = start
	}
	// Nothing but the beginning of a first line.
	f.broken = end
	beginning := []byte(`{"seq":1,`)
	return f.open && !bytes.ContainsRune(end, '\n') && (bytes.HasPrefix(end, beginning) || bytes.HasPrefix(beginning, end))
}

// parse returns a line of an audit file.
func parse(text []byte) (l line, ok bool) {
	err := json.Unmarshal(text, &l)
	return l, err == nil && l.Seq > 0 && l.Prev != ""
}

func hash(text []byte) string {
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:])
}

// append writes e as the next line of the chain, behind one that explains what
// is broken before it. Nothing that is there is taken away.
func (f *file) append(e entry) error {
	if len(f.broken) > 0 {
		whole := bytes.Clone(f.broken)
		if f.open {
			whole = append(whole, '\n') // it will get one
		}
		explains := entry{Time: time.Now(), Event: fileEvent, Result: torn, PolicyHash: e.PolicyHash, Torn: hash(whole)}
		if err := f.put(explains); err != nil {
			return err
		}
	}
	return f.put(e)
}

func (f *file) put(e entry) error {
	text, err := json.Marshal(line{Seq: f.seq + 1, Prev: f.prev, entry: e})
	if err != nil {
		return err
	}
	var out []byte
	if f.open {
		out = append(out, '\n')
	}
	out = append(append(out, text...), '\n')
	n, err := f.write(out)
	switch {
	case n >= len(out)-1: // all that counts is there
		f.seq, f.prev, f.broken, f.open = f.seq+1, hash(text), nil, n < len(out)
		return nil
	case n > 0:
		wrote := out[:n]
		if f.open && len(f.broken) == 0 {
			wrote = wrote[1:] // that ended a whole line
		}
		f.broken, f.open = append(f.broken, wrote...), out[n-1] != '\n'
	}
	return err
}

// sync returns when what was written is on the disk. A pipe or a device has
// nothing to sync.
func (f *file) sync() error {
	err := f.f.Sync()
	if errors.Is(err, syscall.EINVAL) {
		return nil
	}
	return err
}

// reopen returns the file that path names now, with the end of this chain; nil
// if it is the same.
func (f *file) reopen(path string) (*file, error) {
	if now, err := os.Stat(path); err == nil {
		if is, err := f.f.Stat(); err == nil && os.SameFile(is, now) {
			return nil, nil
		}
	}
	next, err := openFile(path)
	if err != nil {
		return nil, err
	}
	if next.prev != genesis && next.prev != f.prev || len(next.broken) > 0 {
		next.close()
		return nil, errors.New("it has lines of another chain")
	}
	if next.prev == genesis { // what is broken stays behind, and the new one explains it
		next.broken = f.broken
		if f.open && len(f.broken) > 0 {
			next.broken = append(bytes.Clone(f.broken), '\n') // as every line is read
		}
	}
	next.seq, next.prev = f.seq, f.prev
	return next, nil
}

// deleted reports whether nobody finds f any more.
func (f *file) deleted() bool {
	info, err := f.f.Stat()
	return err == nil && info.Mode().IsRegular() && unlinked(info)
}

func (f *file) close() { _ = f.f.Close() }

package audit

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"sidecar/internal/exchange"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var errFull = errors.New("no space left")

// begin returns an audit of a file of its own.
func begin(t *testing.T, queue int) (*Audit, string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "audit.jsonl")
	return beginAt(t, path, queue), path
}

func beginAt(t *testing.T, path string, queue int) *Audit {
	t.Helper()
	a, err := New(&Config{File: path, Queue: queue}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	a.Apply("p0")
	return a
}

func end(t *testing.T, a *Audit) {
	t.Helper()
	if err := a.Close(t.Context()); err != nil {
		t.Error(err)
	}
}

// denied is a request that authz refused.
func denied(id string) *exchange.Record {
	r := &exchange.Record{
		ID: id, Method: "POST", Host: "shop", Path: "/orders", Route: "orders", Status: 403, PolicyHash: "p1",
		Client: netip.MustParseAddr("10.0.0.9"), Peer: netip.MustParseAddrPort("127.0.0.1:4711"),
	}
	r.Identify(&exchange.Principal{Subject: "alice", Issuer: "https://id", By: exchange.ByToken})
	r.Note(exchange.Decision{Kind: exchange.Authn, Policy: "users", Outcome: exchange.Pass})
	r.Note(exchange.Decision{
		Kind: exchange.Authz, Policy: "rbac", Outcome: exchange.Refuse, Reason: exchange.RuleDenied, Rule: "suspended", Detail: "status is suspended", Line: 12,
	})
	return r
}

func refuse(a *Audit, id string) { a.End(context.Background(), denied(id)) }

// lines returns the lines of the file at path, without what differs by run and
// those that only hold the chain together.
func lines(t *testing.T, path string) (all []map[string]any) {
	t.Helper()
	for _, text := range strings.SplitAfter(strings.TrimSuffix(string(read(t, path)), "\n"), "\n") {
		var l map[string]any
		if err := json.Unmarshal([]byte(text), &l); err != nil {
			continue // a half line: Verify says whether it may be there
		}
		delete(l, "prev")
		delete(l, "time")
		delete(l, "seq")
		if l["event"] != "audit" || l["result"] != "begun" && l["result"] != "ended" && l["result"] != "torn" {
			all = append(all, l)
		}
	}
	return all
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// verify reads what is in the files, each a text, of which the first ones may
// be elsewhere.
func verify(texts ...[]byte) (*Chain, error) {
	return verifyAs(Chain{FromMiddle: true}, texts...)
}

func verifyAs(c Chain, texts ...[]byte) (*Chain, error) {
	for i, text := range texts {
		if err := c.Verify(string(rune('a'+i)), bytes.NewReader(text)); err != nil {
			return &c, err
		}
	}
	return &c, c.End()
}

// sound returns the chain of the files at paths, which must be whole.
func sound(t *testing.T, paths ...string) *Chain {
	t.Helper()
	var texts [][]byte
	for _, path := range paths {
		texts = append(texts, read(t, path))
	}
	c, err := verify(texts...)
	if err != nil || c.Rest != nil {
		t.Fatalf("%v, rest at %v, in %q", err, c.Rest, texts)
	}
	return c
}

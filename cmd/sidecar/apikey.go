package main

import (
	"bytes"
	"fmt"
	"os"

	"sidecar/internal/authz"
)

type apikeyCmd struct {
	Name    string   `arg:"" help:"Whose key it is."`
	Role    []string `help:"A role; may be said more than once." placeholder:"ROLE"`
	KeyFile string   `type:"existingfile" help:"File with a key that exists, of 32 bytes at least, in place of a new one. It is not printed." placeholder:"FILE"`
}

// Help says which of the two outputs is which.
func (apikeyCmd) Help() string {
	return `The key goes to standard output, this once: nothing keeps it. The line for the file
of apiKeys, which holds only its hash, goes to standard error:

  sidecar apikey nightly --role reader 2>> keys.jsonl`
}

// Run prints the key on stdout, and its entry on stderr.
func (c apikeyCmd) Run(p *process) error {
	key := authz.NewAPIKey()
	if c.KeyFile != "" {
		data, err := os.ReadFile(c.KeyFile)
		if err != nil {
			return err
		}
		key = string(bytes.TrimRight(data, "\r\n"))
	}
	entry, err := authz.APIKeyEntry(key, c.Name, c.Role)
	if err != nil {
		return err
	}
	if c.KeyFile == "" {
		fmt.Fprintln(p.stdout, key)
	}
	fmt.Fprintln(p.stderr, entry)
	return nil
}

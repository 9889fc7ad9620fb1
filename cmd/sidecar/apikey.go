package main

import (
	"fmt"
	"os"

	"sidecar/internal/authz"
	"sidecar/internal/exchange"
)

type apikeyCmd struct {
	Name    string   `arg:"" help:"Whose key it is."`
	Role    []string `help:"A role; may be said more than once." placeholder:"ROLE"`
	KeyFile string   `type:"existingfile" help:"File with a key that exists, of 32 bytes at least, in place of a new one. It is not printed." placeholder:"FILE"`
}

// Help says which of the two outputs is which.
func (apikeyCmd) Help() string {
	return `The line for the file of apiKeys, which holds only the key's hash, goes to standard
output. The key itself goes to standard error, this once: nothing keeps it:

  sidecar apikey nightly --role reader >> keys.jsonl`
}

// Run prints the entry of the key on stdout, where nothing else ever stands,
// and the key on stderr.
func (c apikeyCmd) Run(p *process) error {
	key := authz.NewAPIKey()
	if c.KeyFile != "" {
		data, err := os.ReadFile(c.KeyFile)
		if err != nil {
			return err
		}
		key = string(exchange.TrimSecret(data))
	}
	entry, err := authz.APIKeyEntry(key, c.Name, c.Role)
	if err != nil {
		return err
	}
	if c.KeyFile == "" {
		fmt.Fprintln(p.stderr, key)
	}
	fmt.Fprintln(p.stdout, entry)
	return nil
}

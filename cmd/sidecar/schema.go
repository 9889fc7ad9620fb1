package main

import "sidecar/configs"

type schemaCmd struct{}

// Run prints the JSON Schema of the policy file.
func (schemaCmd) Run(p *process) error {
	_, err := p.stdout.Write(configs.Schema)
	return err
}

// Package configs holds the policy files that come with the sidecar, and their
// schema.
package configs

import _ "embed"

// Demo is the policy of `sidecar demo`.
//
//go:embed demo.yaml
var Demo []byte

// Schema is the JSON Schema of policy files, which `make docs` writes.
//
//go:embed sidecar.schema.json
var Schema []byte

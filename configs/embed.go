// Package configs holds the policy files that come with the sidecar.
package configs

import _ "embed"

// Demo is the policy of `sidecar demo`.
//
//go:embed demo.yaml
var Demo []byte

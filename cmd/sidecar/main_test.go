package main

import (
	"os"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// asSidecar makes the test binary be the sidecar itself, so that tests run it
// as a process of its own.
const asSidecar = "TEST_AS_SIDECAR"

func TestMain(m *testing.M) {
	if os.Getenv(asSidecar) != "" {
		main()
		return
	}
	testscript.Main(m, map[string]func(){"sidecar": main})
}

// The command line, as a user sees it.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{Dir: "testdata/script"})
}

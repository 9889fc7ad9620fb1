package main

import (
	"net/http"
	"os"
	"testing"
	"time"

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
	http.DefaultClient.Timeout = patience
	testscript.Main(m, map[string]func(){"sidecar": main})
}

// patience is how long a test waits for anything: what hangs is told by the
// test that it hangs, not by the end of all of them.
const patience = 20 * time.Second

// The command line, as a user sees it.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{Dir: "testdata/script", Deadline: time.Now().Add(3 * patience)})
}

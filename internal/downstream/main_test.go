package downstream_test

import (
	"fmt"
	"os"
	"testing"

	"go.uber.org/goleak"
)

// Both servers keep a connection for half a second after an answer to a client
// that still sends: longer than goleak waits.
func TestMain(m *testing.M) {
	code := m.Run()
	if code == 0 {
		err := goleak.Find()
		for again := 0; err != nil && again < 3; again++ {
			err = goleak.Find()
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	os.Exit(code)
}

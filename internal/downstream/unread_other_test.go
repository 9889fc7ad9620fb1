//go:build !unix

package downstream_test

import "net"

// nothingToRead cannot be known here: the pieces may come together.
func nothingToRead(net.Conn) bool { return true }

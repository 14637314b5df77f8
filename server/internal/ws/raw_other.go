//go:build !unix

package ws

import "syscall"

// Elsewhere reads and writes go through net.Conn, the writes on a goroutine
// that may wait.
const nonblocking = false

type readOp struct{}

func (c *Conn) rawFill() (int, error) { panic("ws: unreachable") }

func tryWrite(syscall.RawConn, []byte) (int, error) { return 0, nil }

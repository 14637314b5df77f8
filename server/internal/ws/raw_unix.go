//go:build unix

package ws

import (
	"io"
	"sync"
	"syscall"
)

const nonblocking = true

// readOp is the read of a connection that is under way.
type readOp struct {
	fn  func(fd uintptr) bool // made once: it would else be allocated for each read
	n   int
	err error
}

// rawFill reads from the socket itself, so that a buffer is borrowed when
// there are bytes to put in it and not while the goroutine is parked.
func (c *Conn) rawFill() (int, error) {
	if c.op.fn == nil {
		c.op.fn = c.tryRead
	}
	if err := c.raw.Read(c.op.fn); err != nil {
		return 0, err
	}
	n, err := c.op.n, c.op.err
	c.op.err = nil
	if err == nil && n == 0 {
		return 0, io.EOF
	}
	return n, err
}

// tryRead reads what is there. It reports false if there is nothing yet.
func (c *Conn) tryRead(fd uintptr) bool {
	dst, borrowed := c.target()
	n, err := syscall.Read(int(fd), dst)
	for err == syscall.EINTR {
		n, err = syscall.Read(int(fd), dst)
	}
	if err == syscall.EAGAIN {
		if borrowed {
			c.drop()
		}
		return false
	}
	c.op.n, c.op.err = max(n, 0), err
	return true
}

// writeOp is one non-blocking write; pooled, since the function that the
// runtime wants would else be allocated for each.
type writeOp struct {
	b   []byte
	n   int
	err error
	fn  func(fd uintptr) bool
}

var writeOps = sync.Pool{New: func() any {
	op := new(writeOp)
	op.fn = op.run
	return op
}}

func (op *writeOp) run(fd uintptr) bool {
	for op.n < len(op.b) {
		n, err := syscall.Write(int(fd), op.b[op.n:])
		switch err {
		case nil:
			op.n += n
		case syscall.EINTR:
		case syscall.EAGAIN:
			return true
		default:
			op.err = err
			return true
		}
	}
	return true
}

func tryWrite(raw syscall.RawConn, b []byte) (int, error) {
	op := writeOps.Get().(*writeOp)
	op.b, op.n, op.err = b, 0, nil
	err := raw.Write(op.fn)
	n := op.n
	if err == nil {
		err = op.err
	}
	op.b = nil
	writeOps.Put(op)
	return n, err
}

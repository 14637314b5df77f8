//go:build unix

package ws

import (
	"io"
	"sync"
	"syscall"
)

const nonblocking = true

// rawFiller reads from the socket itself, so that a buffer is borrowed when
// there are bytes to put in it and not while the goroutine is parked.
func rawFiller(c *Conn) func([]byte) (int, error) {
	var (
		dst []byte
		n   int
		err error
	)
	read := func(fd uintptr) bool {
		borrowed := len(dst) == 0
		if borrowed {
			c.in = readBuffers.Get().(*readBuffer)
			dst = c.in[:]
		}
		for {
			n, err = syscall.Read(int(fd), dst)
			if err != syscall.EINTR {
				break
			}
		}
		if err == nil {
			return true
		}
		n = 0
		if err != syscall.EAGAIN {
			return true
		}
		if borrowed {
			c.drop()
			dst = nil
		}
		return false
	}
	return func(into []byte) (int, error) {
		dst = into
		if werr := c.raw.Read(read); werr != nil {
			return 0, werr
		}
		dst = nil
		if err == nil && n == 0 {
			return 0, io.EOF
		}
		return n, err
	}
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

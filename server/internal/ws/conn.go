package ws

import (
	"net"
	"sync"
	"syscall"
	"time"

	"github.com/roomspan/roomspan/server/internal/poison"
)

// Options are the bounds of a connection. All must be set, but Deflate. They
// may be shared by connections, and are not changed.
type Options struct {
	// Deflate has Upgrade agree to permessage-deflate (RFC 7692) with clients
	// that offer it.
	Deflate bool

	// MaxMessage is the size in bytes of the longest message that is read,
	// compressed or not.
	MaxMessage int

	// MaxFragments is how many frames one message may come in.
	MaxFragments int

	// WriteTimeout is how long a blocking write waits for the peer.
	WriteTimeout time.Duration
}

// Conn is the server's end of one WebSocket connection. It is small while
// nothing is under way: it has neither a buffer nor a message.
//
// One goroutine reads, by Serve. One goroutine at a time writes, by TryWrite
// and WriteAll; who that is, is the business of the owner. Close may be called
// by anyone at any time.
type Conn struct {
	nc  net.Conn
	raw syscall.RawConn // nil if nc is no plain socket
	opt *Options

	// Of the reading goroutine:
	in         *readBuffer // holds what has come at [start:end]; nil if there is nothing
	start, end int16
	idle       bool      // the read under way is of Await
	deflate    bool      // permessage-deflate has been agreed on; set before Serve
	under      *assembly // the message under way; nil if there is none
	op         readOp
}

// assembly is a message whose payload comes in several frames or reads.
type assembly struct {
	payload   []byte
	op        Opcode // of the first frame
	deflated  bool
	fragments int
	frame     header // of the frame whose payload is under way, if rest > 0
	rest      int    // payload bytes of frame that have not come
}

// The sizes of what is read into. A plain socket borrows a buffer when there are
// bytes to put in it and gives it back before it waits: the largest one, but the
// smallest after a client was idle, who mostly sends a pong. Where the beginning
// of a message has come that fits the one in the middle, it is moved there; else
// it is an assembly.
const (
	idleBufferSize  = 512
	bufferSize      = 4 << 10
	largeBufferSize = 16 << 10
)

type readBuffer struct {
	bytes []byte
	pool  *sync.Pool
}

var idleBuffers, buffers, largeBuffers sync.Pool

func init() {
	for size, pool := range map[int]*sync.Pool{
		idleBufferSize: &idleBuffers, bufferSize: &buffers, largeBufferSize: &largeBuffers,
	} {
		pool.New = func() any { return &readBuffer{make([]byte, size), pool} }
	}
}

func (b *readBuffer) free() {
	poison.Memory(b.bytes)
	b.pool.Put(b)
}

// NewConn returns a Conn over nc, on which the handshake has been done. early
// is what the peer sent behind it; the Conn owns it.
func NewConn(nc net.Conn, early []byte, opt *Options) *Conn {
	c := &Conn{nc: nc, opt: opt}
	if sc, ok := nc.(syscall.Conn); ok && nonblocking {
		if raw, err := sc.SyscallConn(); err == nil {
			c.raw = raw
		}
	}
	if len(early) > bufferSize {
		// net/http's buffer is of the same size; a larger one comes from
		// another server's.
		c.nc, c.raw, early = &prefixed{Conn: nc, early: early}, nil, nil
	}
	if len(early) > 0 {
		c.in = buffers.Get().(*readBuffer)
		c.end = int16(copy(c.in.bytes, early))
	}
	return c
}

// prefixed is a connection whose first bytes have been read already.
type prefixed struct {
	net.Conn
	early []byte
}

func (p *prefixed) Read(b []byte) (int, error) {
	if len(p.early) == 0 {
		return p.Conn.Read(b)
	}
	n := copy(b, p.early)
	p.early = p.early[n:]
	return n, nil
}

// RemoteAddr returns the address of the peer.
func (c *Conn) RemoteAddr() net.Addr { return c.nc.RemoteAddr() }

// Deflate reports whether messages to the peer may be compressed.
func (c *Conn) Deflate() bool { return c.deflate }

// Close closes the connection at once, without a close frame. A Serve under
// way returns.
func (c *Conn) Close() error { return c.nc.Close() }

// CanTryWrite reports whether TryWrite writes anything: only a plain socket
// can be written to without waiting, TLS cannot.
func (c *Conn) CanTryWrite() bool { return c.raw != nil }

// TryWrite writes what the kernel takes of b without waiting and returns how
// much that was. It does not keep b.
func (c *Conn) TryWrite(b []byte) (int, error) {
	if c.raw == nil {
		return 0, nil
	}
	return tryWrite(c.raw, b)
}

// WriteAll writes all of b and waits for the peer as long as WriteTimeout
// allows. It does not keep b.
func (c *Conn) WriteAll(b []byte) error { return writeWithin(c.nc, b, c.opt.WriteTimeout) }

// writeWithin writes all of b in the time d.
func writeWithin(nc net.Conn, b []byte, d time.Duration) error {
	if err := nc.SetWriteDeadline(time.Now().Add(d)); err != nil {
		return err
	}
	if _, err := nc.Write(b); err != nil {
		return err
	}
	return nc.SetWriteDeadline(time.Time{}) // else it would be that of TryWrite, too
}

// Linger reads and throws away what the peer still sends, until it closes the
// connection or d has passed: closing at once would make the kernel discard
// what was written last. It is for the goroutine that has called Serve.
func (c *Conn) Linger(d time.Duration) {
	if c.nc.SetReadDeadline(time.Now().Add(d)) != nil {
		return
	}
	b := buffers.Get().(*readBuffer)
	defer b.free()
	for range 1 << 10 {
		if _, err := c.nc.Read(b.bytes); err != nil {
			return
		}
	}
}

package ws

import "net"

// Negotiate is the choice among offers of permessage-deflate.
var Negotiate = negotiate

// NewDeflateConn is NewConn for a connection on which permessage-deflate has
// been agreed on.
func NewDeflateConn(nc net.Conn, early []byte, opt *Options) *Conn {
	c := NewConn(nc, early, opt)
	c.deflate = true
	return c
}

// Borrows reports whether the connection has a buffer of the pool.
func (c *Conn) Borrows() bool { return c.in != nil }

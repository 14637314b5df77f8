package adaptertest

import (
	"context"
	"errors"
	"net"
	"sync"
)

// errKilled is the error of all that a node that was killed does on its wire.
var errKilled = errors.New("adaptertest: the node was killed")

// Wire is the network of one node, of which a test can take hold: Dial is the
// dialer of the node's client for the bus. Its methods may be called
// concurrently.
type Wire struct {
	hung, killed chan struct{} // closed when the node is

	mu    sync.Mutex
	conns map[*wireConn]struct{}
}

// NewWire returns a wire on which nothing is wrong.
func NewWire() *Wire {
	return &Wire{hung: make(chan struct{}), killed: make(chan struct{}), conns: make(map[*wireConn]struct{})}
}

// Dial connects like [net.Dialer].
func (w *Wire) Dial(ctx context.Context, network, addr string) (net.Conn, error) {
	select {
	case <-w.killed:
		return nil, errKilled
	case <-w.hung:
		select {
		case <-w.killed:
			return nil, errKilled
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	default:
	}
	conn, err := new(net.Dialer).DialContext(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	c := &wireConn{Conn: conn, wire: w, closed: make(chan struct{})}
	w.mu.Lock()
	defer w.mu.Unlock()
	if is(w.killed) {
		_ = conn.Close()
		return nil, errKilled
	}
	w.conns[c] = struct{}{}
	return c, nil
}

// Hang lets nothing pass any more. The connections stand until Kill, for
// whoever is at their other end, also those that the node closes: calls on them
// block.
func (w *Wire) Hang() { w.end(w.hung) }

// Kill breaks all connections, and lets none be made.
func (w *Wire) Kill() {
	w.end(w.killed)
	w.mu.Lock()
	defer w.mu.Unlock()
	for c := range w.conns {
		_ = c.Conn.Close()
	}
	clear(w.conns)
}

func (w *Wire) end(state chan struct{}) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !is(state) {
		close(state)
	}
}

// is reports whether a channel is closed.
func is(state <-chan struct{}) bool {
	select {
	case <-state:
		return true
	default:
		return false
	}
}

// wireConn is a connection of a node.
type wireConn struct {
	net.Conn
	wire *Wire

	once   sync.Once
	closed chan struct{}
}

// Read implements [net.Conn].
func (c *wireConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if c.stuck() {
		return 0, net.ErrClosed
	}
	return n, err
}

// Write implements [net.Conn].
func (c *wireConn) Write(p []byte) (int, error) {
	if c.stuck() {
		return 0, net.ErrClosed
	}
	return c.Conn.Write(p)
}

// stuck reports false as long as the node does not hang, else it waits until
// the connection is closed.
func (c *wireConn) stuck() bool {
	if !is(c.wire.hung) {
		return false
	}
	select {
	case <-c.closed:
	case <-c.wire.killed:
	}
	return true
}

// Close implements [net.Conn].
func (c *wireConn) Close() error {
	c.once.Do(func() { close(c.closed) })
	c.wire.mu.Lock()
	defer c.wire.mu.Unlock()
	if is(c.wire.hung) && !is(c.wire.killed) {
		return nil
	}
	delete(c.wire.conns, c)
	return c.Conn.Close()
}

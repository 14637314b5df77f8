package servertest

import (
	"context"
	"errors"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/gobwas/ws"

	"github.com/roomspan/roomspan/server"
	"github.com/roomspan/roomspan/server/internal/args"
	"github.com/roomspan/roomspan/server/internal/parser"
)

const (
	// maxUnread is how many events may wait to be taken.
	maxUnread = 10_000

	// maxUnsent is how many bytes may wait for a server that does not read.
	maxUnsent = 64 << 20
)

var errUnsent = errors.New("the server does not read what was sent before")

// The reasons of a disconnection, in the words of socket.io-client.
const (
	byServer    = "io server disconnect"
	byClient    = "io client disconnect"
	byTransport = "transport close"
	byParser    = "parse error"
)

// Client is one Socket.IO client in one namespace. Its methods, and the
// functions that take it, may be called concurrently. None of its methods but
// [Client.Close] and [Client.Disconnected] waits for the server.
//
// One goroutine reads and one writes, until the connection ends; a third runs
// the functions of [Handle] while there are events for them. What is queued
// for any of them is queued without waiting, so that none keeps another from
// its work, however synchronous the pipe below them is.
type Client struct {
	t         testing.TB
	conn      net.Conn
	namespace string
	timeout   time.Duration
	join      *parser.Packet // sent when the session is open
	partial   *partial       // of the reading goroutine

	wake    chan struct{} // has room for one: there is something to write
	written chan struct{} // closed when the writing goroutine has ended
	done    chan struct{} // closed when the reading goroutine has ended, the last of both

	mu       sync.Mutex
	changed  chan struct{} // closed, and made anew, when something below has changed
	id       string
	refused  *server.ConnectError
	reason   string // of the disconnection; "" while there is none
	closing  bool   // by Close
	out      []byte // frames to be written
	last     bool   // out ends with the close frame, or has
	inbox    []*received
	handlers map[string]handler
	tasks    []task // for handlers
	working  bool   // the goroutine of the handlers lives
	asked    uint64 // the id of the last acknowledgement that was asked for
	answers  map[uint64]*values
	fences   uint64 // pings that were sent
	passed   uint64 // pings that were answered
}

func newClient(t testing.TB, conn net.Conn, join *parser.Packet, cfg *config) *Client {
	return &Client{
		t:         t,
		conn:      conn,
		namespace: cfg.namespace,
		timeout:   cfg.timeout,
		join:      join,
		wake:      make(chan struct{}, 1),
		written:   make(chan struct{}),
		done:      make(chan struct{}),
		changed:   make(chan struct{}),
		handlers:  make(map[string]handler),
		answers:   make(map[uint64]*values),
	}
}

// ID returns the id of the socket, that of [server.Socket.ID].
func (c *Client) ID() string { return c.id } // written before Connect returns

// Emit sends an event that asks for no acknowledgement. It does not wait until
// the server has handled it; [Call] does, for handlers without a result too.
// The test fails if an argument cannot be encoded, the name is reserved, or the
// client is disconnected.
func (c *Client) Emit(event string, args ...any) {
	c.t.Helper()
	if err := c.emit(&parser.Packet{Type: parser.Event}, event, args); err != nil {
		c.t.Errorf("servertest: emit %q: %v", event, err)
	}
}

// emit sends an event, as a packet that has all but its data.
func (c *Client) emit(p *parser.Packet, event string, values []any) error {
	if parser.Reserved(event) {
		return server.ErrReservedEvent
	}
	encoded, err := args.Codec{}.EncodeEvent(event, values)
	if err != nil {
		return err
	}
	p.Data, p.Attachments = encoded.Args, len(encoded.Attachments)
	return c.send(p, encoded.Attachments)
}

// Disconnected waits until the client is disconnected and returns why, in the
// words of socket.io-client: "io server disconnect" if the server disconnected
// the socket, "io client disconnect" after [Client.Close], "transport close" if
// the server closed the connection, as it does when it shuts down. If the
// client stays connected, the test fails and the result is "".
func (c *Client) Disconnected() (reason string) {
	c.t.Helper()
	if !c.await(func() bool { reason = c.reason; return reason != "" }) {
		c.t.Errorf("servertest: the client was not disconnected within %v", c.timeout)
	}
	return reason
}

// Close disconnects the client, as socket.disconnect of socket.io-client does,
// and waits until the server has closed the connection. The server gives
// [server.ReasonClientDisconnect] to its OnDisconnect functions, which may still
// be running when Close returns. Further calls only wait.
func (c *Client) Close() {
	c.mu.Lock()
	c.closing = true
	joined := c.id != ""
	c.mu.Unlock()
	if joined {
		_ = c.send(&parser.Packet{Type: parser.Disconnect}, nil)
	}
	c.hangUp()
	<-c.done
}

// hangUp sends a close frame, if none has been sent, and bounds the time that
// the rest of the connection may take.
func (c *Client) hangUp() {
	_ = c.push(appendFrame(nil, ws.OpClose, nil), true)
	_ = c.conn.SetDeadline(time.Now().Add(c.timeout))
}

// end closes the client at the end of its test.
func (c *Client) end() {
	c.Close()
	if !c.await(func() bool { return !c.working }) {
		c.t.Errorf("servertest: a function of Handle has not returned %v after the end of the test", c.timeout)
	}
}

// joined waits until the client has joined its namespace.
func (c *Client) joined() error {
	in := false
	ok := c.await(func() bool { in = c.id != ""; return in || c.refused != nil || c.reason != "" })
	switch {
	case !ok:
		return context.DeadlineExceeded
	case in:
		return nil
	case c.refused != nil:
		return c.refused
	}
	return server.ErrDisconnected
}

// await waits until ready, which is called under the lock, returns true. It
// reports false if that takes too long.
func (c *Client) await(ready func() bool) bool {
	timer := time.NewTimer(c.timeout)
	defer timer.Stop()
	for {
		c.mu.Lock()
		ok, changed := ready(), c.changed
		c.mu.Unlock()
		if ok {
			return true
		}
		select {
		case <-changed:
		case <-timer.C:
			return false
		}
	}
}

// changedLocked wakes all that await something.
func (c *Client) changedLocked() {
	close(c.changed)
	c.changed = make(chan struct{})
}

// send queues a packet, to which it adds the namespace.
func (c *Client) send(p *parser.Packet, attachments [][]byte) error {
	p.Namespace = c.namespace
	frames := appendFrame(nil, ws.OpText, parser.AppendText([]byte{'4'}, p))
	for _, a := range attachments {
		frames = appendFrame(frames, ws.OpBinary, a)
	}
	return c.push(frames, false)
}

// push queues frames; last says that a close frame ends them.
func (c *Client) push(frames []byte, last bool) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.last || c.reason != "" && !last:
		return server.ErrDisconnected
	case len(c.out)+len(frames) > maxUnsent && !last:
		return errUnsent
	}
	c.out = append(c.out, frames...)
	c.last = last
	select {
	case c.wake <- struct{}{}:
	default:
	}
	return nil
}

// write writes what is queued, until the close frame or an error.
func (c *Client) write() {
	defer close(c.written)
	for {
		c.mu.Lock()
		out, last := c.out, c.last
		c.out = nil
		c.mu.Unlock()
		if len(out) > 0 {
			if _, err := c.conn.Write(out); err != nil {
				return
			}
		}
		if last {
			return
		}
		<-c.wake
	}
}

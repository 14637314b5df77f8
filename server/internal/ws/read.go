package ws

import (
	"errors"
	"io"
	"unicode/utf8"

	gobwas "github.com/gobwas/ws"

	"github.com/roomspan/roomspan/server/internal/poison"
)

// Handler takes what Serve reads. Its methods are called one at a time, on the
// goroutine of Serve. An error ends Serve, which returns it.
type Handler interface {
	// Message takes one message. data is valid until Message returns, and
	// Message may write to it.
	Message(binary bool, data []byte) error

	// Ping takes the payload of a ping frame, valid until Ping returns. The
	// pong is for the handler to send, since it alone knows who may write.
	Ping(payload []byte) error

	// BatchEnd is called when everything that one read brought has been
	// handed over. It reports whether the client seems to be idle.
	BatchEnd() (idle bool)
}

// Serve reads frames until the connection ends and hands messages to h. The
// error is never nil: a *CloseError, an error of the network, io.EOF, or the
// error of h. It answers nothing itself and does not close the connection.
//
// It returns ErrIdle, and is to be called again after Await, when nothing is
// under way and h.BatchEnd says that the client is idle.
func (c *Conn) Serve(h Handler) (err error) {
	defer func() {
		if err != ErrIdle {
			c.drop()
			c.under = nil
		}
	}()
	for {
		if c.start < c.end {
			err := c.parse(h)
			idle := h.BatchEnd()
			switch {
			case err != nil:
				return err
			case idle && c.in == nil && c.under == nil && c.raw != nil:
				return ErrIdle
			}
		}
		if err := c.read(); err != nil {
			return err
		}
		if u := c.under; u != nil && u.frame.size > 0 && u.rest == 0 {
			head := u.frame
			u.frame = header{}
			err := c.finish(h, head)
			h.BatchEnd()
			if err != nil {
				return err
			}
		}
	}
}

// ErrIdle is what Serve returns to be called again later, after Await.
var ErrIdle = errors.New("ws: idle")

// Await waits for the first bytes after ErrIdle. It is for a goroutine that
// has done nothing yet: its stack stays the smallest there is as long as it
// waits, while one that has handled a message never shrinks to that again.
func (c *Conn) Await() error {
	c.idle = true
	err := c.read()
	c.idle = false
	if err != nil {
		c.drop()
	}
	return err
}

// read brings at least one more byte, into the message under way if its frame
// is longer than a buffer, else into the buffer.
func (c *Conn) read() error {
	if u := c.under; u != nil && u.rest > 0 {
		u.grow(min(u.rest, max(len(u.payload), 8*bufferSize)))
	} else if c.in != nil {
		c.compact()
	}
	n, err := c.fill()
	if n == 0 {
		return err
	}
	if u := c.under; u != nil && u.rest > 0 {
		u.take(n)
	} else {
		c.end += int16(n)
	}
	return err
}

// compact moves what has come to the beginning of a buffer of the middle size.
func (c *Conn) compact() {
	b := c.in
	if b.pool != &buffers {
		c.in = buffers.Get().(*readBuffer)
		defer b.free()
	}
	c.end = int16(copy(c.in.bytes, b.bytes[c.start:c.end]))
	c.start = 0
}

// target returns where the next bytes go. It borrows a buffer if there is
// none, and says so.
func (c *Conn) target() (dst []byte, borrowed bool) {
	if u := c.under; u != nil && u.rest > 0 {
		return u.payload[len(u.payload):min(cap(u.payload), len(u.payload)+u.rest)], false
	}
	if c.in == nil {
		pool := &buffers
		switch {
		case c.raw == nil:
		case c.idle:
			pool = &idleBuffers
		default:
			pool = &largeBuffers
		}
		c.in = pool.Get().(*readBuffer)
		borrowed = true
	}
	return c.in.bytes[c.end:], borrowed
}

// grow makes room for at least one and at most n more bytes of message, never
// more than doubling it beyond the first few kilobytes.
func (u *assembly) grow(n int) {
	if cap(u.payload) > len(u.payload) {
		return
	}
	grown := make([]byte, len(u.payload), len(u.payload)+n)
	copy(grown, u.payload)
	u.payload = grown
}

// take unmasks the n bytes of payload behind the message and makes them part
// of it.
func (u *assembly) take(n int) {
	from := len(u.payload)
	u.payload = u.payload[:from+n]
	gobwas.Cipher(u.payload[from:], u.frame.mask, int(u.frame.length)-u.rest)
	u.rest -= n
}

// parse hands over all messages that the buffer completes.
func (c *Conn) parse(h Handler) error {
	for c.start < c.end {
		head, err := parseHeader(c.in.bytes[c.start:c.end], c.deflate)
		if errors.Is(err, errShort) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := c.check(head); err != nil {
			return err
		}
		start := int(c.start)
		have := int(c.end) - start - head.size
		length := int(head.length)
		if have < length {
			if head.size+length <= bufferSize {
				return nil // the rest fits behind what is there
			}
			u := c.begin(head)
			u.payload = append(u.payload, c.in.bytes[start+head.size:c.end]...)
			gobwas.Cipher(u.payload[len(u.payload)-have:], head.mask, 0)
			u.frame, u.rest = head, length-have
			c.drop()
			return nil
		}
		payload := c.in.bytes[start+head.size : start+head.size+length]
		gobwas.Cipher(payload, head.mask, 0)
		c.start += int16(head.size + length)
		if err := c.handle(h, head, payload); err != nil {
			return err
		}
	}
	c.drop()
	return nil
}

// check holds a data frame against the state of the message and the bounds.
func (c *Conn) check(head header) error {
	if head.op >= OpClose {
		return nil
	}
	if (head.op == OpContinuation) != (c.under != nil) {
		return violation("continuation frame out of place")
	}
	have, fragments := 0, 0
	if c.under != nil {
		have, fragments = len(c.under.payload), c.under.fragments
	}
	if head.length > uint64(c.opt.MaxMessage-have) {
		return &CloseError{Code: StatusTooBig, Reason: "message too big"}
	}
	if fragments >= c.opt.MaxFragments {
		return &CloseError{Code: StatusTooBig, Reason: "message in too many fragments"}
	}
	return nil
}

// begin notes that a data frame of the message has come.
func (c *Conn) begin(head header) *assembly {
	if c.under == nil {
		c.under = &assembly{op: head.op, deflated: head.deflated}
	}
	c.under.fragments++
	return c.under
}

// handle takes a frame whose payload is complete in the buffer.
func (c *Conn) handle(h Handler, head header, payload []byte) error {
	switch head.op {
	case OpPing:
		err := h.Ping(payload)
		poison.Bytes(payload)
		return err
	case OpPong:
		return nil
	case OpClose:
		return parseClose(payload)
	}
	if head.fin && c.under == nil {
		return c.deliver(h, head.op, head.deflated, payload)
	}
	u := c.begin(head)
	u.payload = append(u.payload, payload...)
	return c.finish(h, head)
}

// finish hands over the message under way if head was its last frame.
func (c *Conn) finish(h Handler, head header) error {
	if !head.fin {
		return nil
	}
	u := c.under
	c.under = nil
	return c.deliver(h, u.op, u.deflated, u.payload)
}

func (c *Conn) deliver(h Handler, op Opcode, deflated bool, data []byte) error {
	if deflated {
		return c.deliverDeflated(h, op, data)
	}
	if op == OpText && !utf8.Valid(data) {
		return &CloseError{Code: StatusInvalidPayload, Reason: "text that is no UTF-8"}
	}
	err := h.Message(op == OpBinary, data)
	poison.Bytes(data)
	return err
}

// drop empties the buffer and gives it back.
func (c *Conn) drop() {
	c.start, c.end = 0, 0
	if c.in != nil {
		c.in.free()
		c.in = nil
	}
}

// fill waits for bytes and puts them where target says.
func (c *Conn) fill() (int, error) {
	if c.raw != nil {
		return c.rawFill()
	}
	dst, _ := c.target()
	n, err := c.nc.Read(dst)
	if n == 0 && err == nil {
		err = io.ErrNoProgress
	}
	if n > 0 {
		err = nil // a broken connection says so again at the next read
	}
	return n, err
}

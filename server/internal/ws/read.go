package ws

import (
	"errors"
	"io"
	"unicode/utf8"

	gobwas "github.com/gobwas/ws"
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
	// handed over.
	BatchEnd()
}

// Serve reads frames until the connection ends and hands messages to h. The
// error is never nil: a *CloseError, an error of the network, io.EOF, or the
// error of h. It answers nothing itself and does not close the connection.
func (c *Conn) Serve(h Handler) error {
	defer c.release()
	fill := c.filler()
	for {
		if c.start < c.end {
			err := c.parse(h)
			h.BatchEnd()
			if err != nil {
				return err
			}
		}
		if err := c.read(fill); err != nil {
			return err
		}
		if c.frame.size > 0 && c.rest == 0 {
			head := c.frame
			c.frame = header{}
			err := c.finish(h, head)
			h.BatchEnd()
			if err != nil {
				return err
			}
		}
	}
}

// read brings at least one more byte, into the message under way if its frame
// is longer than a buffer, else into the buffer.
func (c *Conn) read(fill func([]byte) (int, error)) error {
	if c.rest > 0 {
		room := min(c.rest, max(len(c.msg), 8*readBufferSize))
		c.grow(room)
		n, err := fill(c.msg[len(c.msg) : len(c.msg)+min(room, cap(c.msg)-len(c.msg))])
		if n > 0 {
			c.take(n)
		}
		return err
	}
	if c.in != nil && c.start > 0 {
		c.end = copy(c.in[:], c.in[c.start:c.end])
		c.start = 0
	}
	var dst []byte
	if c.in != nil {
		dst = c.in[c.end:]
	}
	n, err := fill(dst)
	c.end += n
	return err
}

// grow makes room for at least one and at most n more bytes of message, never
// more than doubling it beyond the first few kilobytes.
func (c *Conn) grow(n int) {
	if cap(c.msg) > len(c.msg) {
		return
	}
	grown := make([]byte, len(c.msg), len(c.msg)+n)
	copy(grown, c.msg)
	c.msg = grown
}

// take unmasks the n bytes of payload behind the message and makes them part
// of it.
func (c *Conn) take(n int) {
	from := len(c.msg)
	c.msg = c.msg[:from+n]
	gobwas.Cipher(c.msg[from:], c.frame.mask, int(c.frame.length)-c.rest)
	c.rest -= n
}

// parse hands over all messages that the buffer completes.
func (c *Conn) parse(h Handler) error {
	for c.start < c.end {
		head, err := parseHeader(c.in[c.start:c.end])
		if errors.Is(err, errShort) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := c.check(head); err != nil {
			return err
		}
		have := c.end - c.start - head.size
		length := int(head.length)
		if have < length {
			if head.size+length <= readBufferSize {
				return nil // the rest fits behind what is there
			}
			c.begin(head)
			c.msg = append(c.msg, c.in[c.start+head.size:c.end]...)
			gobwas.Cipher(c.msg[len(c.msg)-have:], head.mask, 0)
			c.frame, c.rest = head, length-have
			c.drop()
			return nil
		}
		payload := c.in[c.start+head.size : c.start+head.size+length]
		gobwas.Cipher(payload, head.mask, 0)
		c.start += head.size + length
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
	if (head.op == OpContinuation) != (c.msgOp != 0) {
		return violation("continuation frame out of place")
	}
	if head.length > uint64(c.opt.MaxMessage-len(c.msg)) {
		return &CloseError{Code: StatusTooBig, Reason: "message too big"}
	}
	if c.fragments >= c.opt.MaxFragments {
		return &CloseError{Code: StatusTooBig, Reason: "message in too many fragments"}
	}
	return nil
}

// begin notes that a data frame of the message has come.
func (c *Conn) begin(head header) {
	if head.op != OpContinuation {
		c.msgOp = head.op
	}
	c.fragments++
}

// handle takes a frame whose payload is complete in the buffer.
func (c *Conn) handle(h Handler, head header, payload []byte) error {
	switch head.op {
	case OpPing:
		return h.Ping(payload)
	case OpPong:
		return nil
	case OpClose:
		return parseClose(payload)
	}
	if head.fin && c.msgOp == 0 {
		return deliver(h, head.op, payload)
	}
	c.begin(head)
	c.msg = append(c.msg, payload...)
	return c.finish(h, head)
}

// finish hands over the message under way if head was its last frame.
func (c *Conn) finish(h Handler, head header) error {
	if !head.fin {
		return nil
	}
	op, msg := c.msgOp, c.msg
	c.msgOp, c.msg, c.fragments = 0, nil, 0
	return deliver(h, op, msg)
}

func deliver(h Handler, op Opcode, data []byte) error {
	if op == OpText && !utf8.Valid(data) {
		return &CloseError{Code: StatusInvalidPayload, Reason: "text that is no UTF-8"}
	}
	return h.Message(op == OpBinary, data)
}

// drop empties the buffer and gives it back.
func (c *Conn) drop() {
	c.start, c.end = 0, 0
	if c.in != nil {
		readBuffers.Put(c.in)
		c.in = nil
	}
}

func (c *Conn) release() {
	c.drop()
	c.msg = nil
}

// filler returns the function that waits for bytes. Called with an empty
// slice it borrows a buffer as late as it can.
func (c *Conn) filler() func([]byte) (int, error) {
	if c.raw != nil {
		return rawFiller(c)
	}
	return func(dst []byte) (int, error) {
		if len(dst) == 0 {
			c.in = readBuffers.Get().(*readBuffer)
			dst = c.in[:]
		}
		n, err := c.nc.Read(dst)
		if n == 0 && err == nil {
			err = io.ErrNoProgress
		}
		if n > 0 {
			err = nil // a broken connection says so again at the next read
		}
		return n, err
	}
}

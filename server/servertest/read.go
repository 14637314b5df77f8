package servertest

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"strings"

	"github.com/gobwas/ws"

	"github.com/roomspan/roomspan/server"
	"github.com/roomspan/roomspan/server/internal/args"
	"github.com/roomspan/roomspan/server/internal/parser"
)

// values are the elements of a JSON array that the server sent.
type values struct {
	data        []byte
	spans       []parser.Span
	attachments [][]byte
}

// decode stores the values from the given one on. Those that are missing leave
// their destination alone, as undefined does in JavaScript.
func (v *values) decode(from int, dst ...any) error {
	for i, d := range dst {
		if from+i >= len(v.spans) {
			return nil
		}
		if err := (args.Codec{}).Decode(v.spans[from+i].Of(v.data), v.attachments, d); err != nil {
			return &server.DecodeError{Index: i, Err: err}
		}
	}
	return nil
}

// received is an event that the server sent; the first of its values is its name.
type received struct {
	values
	name string
	id   uint64
	asks bool // for an acknowledgement
}

// String returns the event as it stands in a packet, cut if it is long.
func (e *received) String() string { return clip(e.data) }

func clip(text []byte) string {
	const most = 200
	if len(text) <= most {
		return string(text)
	}
	return string(text[:most]) + "…"
}

// list describes events in the failure of a test.
func list(events []*received) string {
	const most = 10
	var all []string
	for _, e := range events[:min(len(events), most)] {
		all = append(all, e.String())
	}
	switch more := len(events) - most; {
	case len(events) == 0:
		return "nothing"
	case more > 0:
		all = append(all, fmt.Sprintf("and %d more", more))
	}
	return strings.Join(all, ", ")
}

// partial is a packet whose attachments have not all come.
type partial struct {
	packet      *parser.Packet
	attachments [][]byte
}

var (
	errUnread  = fmt.Errorf("more than %d events have not been taken", maxUnread)
	errPacket  = errors.New("unknown packet")
	errBinary  = errors.New("text where an attachment was due, or the other way round")
	errLeft    = errors.New("socket disconnected by the server")
	errRefused = errors.New("connection refused by the server")
)

// appendFrame appends a frame as a client sends it. It copies payload.
func appendFrame(dst []byte, op ws.OpCode, payload []byte) []byte {
	b := bytes.NewBuffer(dst)
	_ = ws.WriteFrame(b, ws.MaskFrame(ws.NewFrame(op, true, payload)))
	return b.Bytes()
}

// read reads until the connection ends.
func (c *Client) read(r *bufio.Reader) {
	defer close(c.done)
	err := c.serve(r)
	c.mu.Lock()
	switch {
	case errors.Is(err, errLeft):
		c.reason = byServer
	case c.closing || errors.Is(err, errRefused):
		c.reason = byClient
	case errors.Is(err, io.EOF):
		c.reason = byTransport
	default:
		c.reason = byParser
	}
	failed := c.reason == byParser
	c.changedLocked()
	c.mu.Unlock()
	if failed {
		c.t.Errorf("servertest: from the server: %v", err)
	}
	c.hangUp()
	<-c.written
	_ = c.conn.Close()
}

// serve handles frames until one ends the connection. The error is io.EOF for
// the end of the transport.
func (c *Client) serve(r *bufio.Reader) error {
	for {
		head, err := ws.ReadHeader(r)
		if err != nil {
			return io.EOF
		}
		var payload bytes.Buffer
		if _, err := io.CopyN(&payload, r, head.Length); err != nil {
			return io.EOF
		}
		switch p := payload.Bytes(); head.OpCode {
		case ws.OpText:
			err = c.text(p)
		case ws.OpBinary:
			err = c.binary(p)
		case ws.OpPong:
			c.pong(p)
		case ws.OpClose:
			err = io.EOF
		default:
			err = errPacket
		}
		if err != nil {
			return err
		}
	}
}

// text takes an Engine.IO packet.
func (c *Client) text(p []byte) error {
	if len(p) == 0 {
		return errPacket
	}
	switch p[0] {
	case '0':
		_ = c.send(c.join, nil)
	case '1':
		return io.EOF
	case '2':
		_ = c.push(appendFrame(nil, ws.OpText, []byte{'3'}), false)
	case '4':
		return c.packet(p[1:])
	default:
		return errPacket
	}
	return nil
}

// packet takes a Socket.IO packet. The server may send what it would not
// accept, so the bounds are those of the decoder.
func (c *Client) packet(text []byte) error {
	if c.partial != nil {
		return errBinary
	}
	p := new(parser.Packet)
	if err := p.Decode(text, parser.Limits{MaxAttachments: math.MaxInt32, MaxDepth: 10_000}); err != nil {
		return fmt.Errorf("%w in %s", err, clip(text))
	}
	if p.Attachments > 0 {
		c.partial = &partial{packet: p}
		return nil
	}
	return c.dispatch(p, nil)
}

// binary takes an attachment.
func (c *Client) binary(payload []byte) error {
	part := c.partial
	if part == nil {
		return errBinary
	}
	if payload == nil {
		payload = []byte{} // an empty attachment is no null
	}
	part.attachments = append(part.attachments, payload)
	if len(part.attachments) < part.packet.Attachments {
		return nil
	}
	c.partial = nil
	return c.dispatch(part.packet, part.attachments)
}

func (c *Client) dispatch(p *parser.Packet, attachments [][]byte) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	defer c.changedLocked()
	v := values{p.Data, p.Elements, attachments}
	switch p.Type {
	case parser.Connect:
		var reply struct{ Sid string }
		if err := json.Unmarshal(p.Data, &reply); err != nil {
			return err
		}
		c.id = reply.Sid
	case parser.ConnectError:
		var refusal server.ConnectError
		if err := json.Unmarshal(p.Data, &refusal); err != nil {
			return err
		}
		c.refused = &refusal
		return errRefused
	case parser.Disconnect:
		return errLeft
	case parser.Event:
		return c.eventLocked(&received{v, string(p.Name), p.ID, p.HasID})
	case parser.Ack:
		if waiting, ok := c.answers[p.ID]; ok && waiting == nil {
			c.answers[p.ID] = &v
		}
	}
	return nil
}

// eventLocked hands an event to its handler, or keeps it until it is taken.
func (c *Client) eventLocked(e *received) error {
	if len(c.inbox)+len(c.tasks) >= maxUnread {
		return errUnread
	}
	if h := c.handlers[e.name]; h != nil {
		c.tasks = append(c.tasks, task{e, h})
		c.workLocked()
	} else {
		c.inbox = append(c.inbox, e)
	}
	return nil
}

// pong notes that a fence has been passed.
func (c *Client) pong(payload []byte) {
	if len(payload) != 8 {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.passed = binary.BigEndian.Uint64(payload)
	c.changedLocked()
}

// fence waits until all has come that the server had queued for the client
// before the call: a pong of the WebSocket is queued behind it. It reports
// false if that takes too long. A disconnected client has got all there is.
func (c *Client) fence() bool {
	c.mu.Lock()
	c.fences++
	n := c.fences
	c.mu.Unlock()
	_ = c.push(appendFrame(nil, ws.OpPing, binary.BigEndian.AppendUint64(nil, n)), false)
	return c.await(func() bool { return c.passed >= n || c.reason != "" })
}

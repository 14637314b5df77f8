package server

import (
	"sync/atomic"

	"github.com/roomspan/roomspan/adapter"
	"github.com/roomspan/roomspan/server/internal/args"
	"github.com/roomspan/roomspan/server/internal/outbound"
	"github.com/roomspan/roomspan/server/internal/parser"
)

// An Event is an event that a client sent, or another node with
// ServerSideEmit. It stays valid after the handler
// has returned, and may be answered later, from any goroutine.
type Event struct {
	task   task // its place in the inbox
	ns     *Namespace
	socket *Socket // nil for an event of another node
	values values  // the first is the name
	name   string  // set by the registry when a handler is found
	ackID  uint64
	asks   bool
	kept   bool // somebody may hold on to it after its handlers have returned
	acked  atomic.Bool
	reply  func(*adapter.Packet) // answers another node
	text   [shortText]byte       // where the JSON is, if it is short
}

// values are the elements of a JSON array that a client sent, not yet decoded.
type values struct {
	data        []byte
	spans       []parser.Span
	attachments [][]byte
	room        [4]parser.Span // where spans point to, if there are few
}

// keep copies what aliases the reader's buffer, to room if that is enough.
func (v *values) keep(room []byte, p *parser.Packet) {
	v.data = append(room[:0], p.Data...)
	v.spans = append(v.room[:0], p.Elements...)
}

func (v *values) decode(codec args.Codec, from int, dst []any) error {
	for i, d := range dst {
		if from+i >= len(v.spans) {
			return nil // what is missing is undefined to a JavaScript client too
		}
		if err := v.one(codec, from, i, d); err != nil {
			return err
		}
	}
	return nil
}

// one decodes argument i of those that begin at from.
func (v *values) one(codec args.Codec, from, i int, dst any) error {
	if err := codec.Decode(v.spans[from+i].Of(v.data), v.attachments, dst); err != nil {
		return &DecodeError{Index: i, Err: err}
	}
	return nil
}

func (v *values) all(codec args.Codec, from int) ([]any, error) {
	all := make([]any, max(len(v.spans)-from, 0))
	for i := range all {
		if err := v.one(codec, from, i, &all[i]); err != nil {
			return all, err
		}
	}
	return all, nil
}

func (e *Event) guard(f func() error) error { return e.ns.srv.guard(f) }

func (e *Event) size() int {
	n := len(e.values.data)
	for _, b := range e.values.attachments {
		n += len(b)
	}
	return n
}

// Name returns the name of the event.
func (e *Event) Name() string {
	if e.name == "" {
		name, err := parser.EventName(e.values.spans[0].Of(e.values.data))
		if err == nil {
			return string(name)
		}
	}
	return e.name
}

// Socket returns the socket of the client that sent the event, nil for an
// event of another node.
func (e *Event) Socket() *Socket { return e.socket }

// Len returns the number of arguments.
func (e *Event) Len() int { return len(e.values.spans) - 1 }

// Decode stores the arguments in the values that the pointers point to, as
// encoding/json does; binary attachments go into []byte wherever the types
// have it. Where there are fewer arguments than pointers, the rest is left
// alone; more arguments are ignored. The error is a *[DecodeError].
func (e *Event) Decode(dst ...any) error { return e.values.decode(e.ns.srv.cfg.codec, 1, dst) }

// Args returns all arguments, decoded as encoding/json decodes into any, with
// []byte for binary attachments. The error is a *[DecodeError].
func (e *Event) Args() ([]any, error) { return e.values.all(e.ns.srv.cfg.codec, 1) }

// WantsAck reports whether the client asked for an acknowledgement.
func (e *Event) WantsAck() bool { return e.asks }

// Ack answers the client. Errors: [ErrNoAck], [ErrAcked], [ErrDisconnected], or
// an argument that cannot be encoded; the event is then still unanswered.
func (e *Event) Ack(values ...any) error {
	if !e.asks {
		return ErrNoAck
	}
	if e.reply == nil && e.ns.srv.cfg.parser == nil {
		return e.ackSingle(values)
	}
	p, err := e.ns.srv.cfg.codec.EncodeArgs(values)
	if err != nil {
		return err
	}
	if e.reply != nil {
		if !e.acked.CompareAndSwap(false, true) {
			return ErrAcked
		}
		e.reply(p)
		return nil
	}
	packet := e.ackPacket()
	packet.Attachments, packet.Data = len(p.Attachments), p.Args
	m, err := e.ns.srv.pack(&packet, p.Attachments, adapter.Flags{})
	if err != nil {
		return err
	}
	return e.sendAck(m)
}

// ackSingle is Ack for a client of the default parser.
func (e *Event) ackSingle(values []any) error {
	d, err := e.ns.srv.cfg.codec.DraftArgs(values)
	if err != nil {
		return err
	}
	packet := e.ackPacket()
	return e.sendAck(lease(d, &packet, adapter.Flags{}))
}

// ackPacket returns the packet of the acknowledgement, without arguments.
func (e *Event) ackPacket() parser.Packet {
	return parser.Packet{Type: parser.Ack, Namespace: e.socket.ns.name, ID: e.ackID, HasID: true}
}

// sendAck sends the acknowledgement.
func (e *Event) sendAck(m *outbound.Message) error {
	if !e.acked.CompareAndSwap(false, true) {
		return ErrAcked
	}
	return e.socket.sendMessage(m)
}

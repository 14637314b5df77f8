package server

import (
	"github.com/roomspan/roomspan/adapter"
	"github.com/roomspan/roomspan/server/internal/args"
	"github.com/roomspan/roomspan/server/internal/outbound"
	"github.com/roomspan/roomspan/server/internal/parser"
)

// What goes to one client is encoded straight into the message that is written,
// and the memory of both serves the next one, where nobody else needs a form of
// it: no adapter that keeps it, no function that is told, no parser of the
// program's own.

// single reports whether that is so for an event.
func (s *Socket) single(flags adapter.Flags) bool {
	return s.ns.srv.cfg.parser == nil && (s.private == nil || flags.Volatile) && !s.ns.observed()
}

// emitSingle is Emit for such an event.
func (s *Socket) emitSingle(flags adapter.Flags, event string, values []any) error {
	if parser.Reserved(event) {
		return ErrReservedEvent
	}
	d, err := s.ns.srv.cfg.codec.DraftEvent(event, values)
	if err != nil {
		return err
	}
	return s.sendMessage(lease(d, &parser.Packet{Type: parser.Event, Namespace: s.ns.name}, flags))
}

// lease makes a message for one receiver of a draft, which it discards. p says
// all but the arguments.
func lease(d args.Draft, p *parser.Packet, flags adapter.Flags) *outbound.Message {
	p.Data, p.Attachments = d.Args(), len(d.Attachments())
	m, buf := outbound.Lease(len(p.Data) + len(p.Namespace) + 32)
	m.Finish(parser.AppendText(buf, p), d.Attachments(), outbound.Flags{Volatile: flags.Volatile, NoCompress: flags.NoCompress})
	d.Discard()
	return m
}

// sendMessage queues a message for the client, and must be its last use.
func (s *Socket) sendMessage(m *outbound.Message) error {
	volatile := m.Volatile
	switch {
	case !s.Connected():
		return ErrDisconnected
	case s.conn.session.Send(m):
		return nil
	case volatile && s.Connected():
		return ErrVolatileDropped
	}
	return ErrDisconnected
}

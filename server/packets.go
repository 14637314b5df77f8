package server

import (
	"errors"
	"strings"
	"unicode/utf8"

	"github.com/roomspan/roomspan/adapter"
	"github.com/roomspan/roomspan/server/internal/outbound"
	"github.com/roomspan/roomspan/server/internal/parser"
	"github.com/roomspan/roomspan/server/internal/ws"
	public "github.com/roomspan/roomspan/server/parser"
)

// WithParser replaces the parser of packets. Clients must use its counterpart:
// those that do not are disconnected with a parse error. Nodes with different
// parsers may be in one cluster. Default: the JSON parser of Socket.IO, with
// binary attachments.
func WithParser(p public.Parser) Option { return func(c *config) { c.parser, c.parserSet = p, true } }

var errMessages = errors.New("server: the parser must make one message at least, and text only first and in UTF-8")

// pack makes the wire form of a packet.
func (s *Server) pack(p *parser.Packet, attachments [][]byte, flags adapter.Flags) (*outbound.Message, error) {
	f := outbound.Flags{Volatile: flags.Volatile, NoCompress: flags.NoCompress}
	if s.cfg.parser == nil {
		buf := parser.AppendText(outbound.Start(len(p.Data)+len(p.Namespace)+32), p)
		return outbound.Finish(buf, attachments, f), nil
	}
	var messages []public.Message
	err := s.guard(func() (err error) {
		messages, err = s.cfg.parser.Encode(&public.Packet{
			Type: public.Type(p.Type), Namespace: p.Namespace, ID: p.ID, HasID: p.HasID,
			Data: p.Data, Attachments: attachments,
		})
		return err
	})
	if err != nil {
		return nil, err
	}
	if len(messages) == 0 {
		return nil, errMessages
	}
	first, rest := messages[0], messages[1:]
	if first.Binary {
		rest = messages
	} else if !utf8.Valid(first.Data) {
		return nil, errMessages // every receiver would hang up
	}
	binary := make([][]byte, len(rest))
	for i, m := range rest {
		if !m.Binary {
			return nil, errMessages
		}
		binary[i] = m.Data
	}
	if first.Binary {
		return outbound.Binary(f, binary...), nil
	}
	return outbound.Finish(append(outbound.Start(len(first.Data)), first.Data...), binary, f), nil
}

// send queues a packet that concerns the connection to a namespace, given as
// the buffer that began with outbound.Start.
func (c *conn) send(buf []byte) bool {
	if c.srv.cfg.parser == nil {
		return c.session.Send(outbound.Finish(buf, nil, outbound.Flags{}))
	}
	var p parser.Packet
	err := p.Decode(buf[ws.MaxHeader+1:], parser.Limits{})
	if err == nil {
		var m *outbound.Message
		if m, err = c.srv.pack(&p, nil, adapter.Flags{}); err == nil {
			return c.session.Send(m)
		}
	}
	c.srv.handlerError(nil, "", err)
	return false
}

// parsing is what the parser of the program's own has of a client.
type parsing struct {
	decoder public.Decoder
	lagging bool // a packet is not complete
}

// parse takes a message for the parser of the program's own.
func (c *conn) parse(data []byte, binary bool) error {
	if c.partial == nil {
		c.partial = new(partial)
	}
	own := &c.partial.own
	var p *public.Packet
	err := c.srv.guard(func() (err error) {
		if own.decoder == nil {
			own.decoder = c.srv.cfg.parser.NewDecoder(c.srv.cfg.maxAttachments)
		}
		p, err = own.decoder.Add(public.Message{Data: data, Binary: binary})
		return err
	})
	if err != nil {
		if _, ok := err.(*PanicError); ok {
			c.srv.handlerError(nil, "", err)
		}
		return err
	}
	if own.lagging = p == nil; own.lagging {
		return nil
	}
	c.lag(false)
	packet := parser.Packet{
		Type: parser.Type(p.Type), Namespace: p.Namespace, ID: p.ID, HasID: p.HasID,
		Data: p.Data, Attachments: len(p.Attachments),
	}
	if err := packet.Check(parser.Limits{MaxAttachments: c.srv.cfg.maxAttachments}); err != nil {
		return err
	}
	if packet.Type == parser.Connect && !nameable(packet.Namespace) {
		return c.refuseUnnameable(packet.Namespace)
	}
	return c.dispatch(&packet, nil, p.Attachments)
}

// nameable reports whether the default parser could write the name of a
// namespace. [Server.Of] makes no other, and none is asked of parents, since
// nodes with that parser may be in the cluster.
func nameable(namespace string) bool { return !strings.ContainsAny(namespace, ",?") }

// refuseUnnameable is refuseNamespace for names that do not survive the way
// through the default parser.
func (c *conn) refuseUnnameable(name string) error {
	m, err := c.srv.pack(&parser.Packet{
		Type: parser.ConnectError, Namespace: name, Data: []byte(`{"message":"Invalid namespace"}`),
	}, nil, adapter.Flags{})
	if err != nil {
		c.srv.handlerError(nil, "", err)
		return nil
	}
	c.session.Send(m)
	return nil
}

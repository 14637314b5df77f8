// Package msgpack is a parser of Socket.IO packets that sends each as one
// binary message in MessagePack, as the npm package socket.io-msgpack-parser 3
// does:
//
//	server.New(server.WithParser(msgpack.New()))
//	io(url, { parser: require("socket.io-msgpack-parser") })
//
// Binary data need no attachments then, and numbers are short; still
// server.WithMaxAttachments bounds how many one packet of a client may have. A
// Date that a client sends comes as the string that JSON makes of it, undefined
// as null, extensions that JavaScript does not use as null too.
package msgpack

import (
	"bytes"
	"errors"

	"github.com/tinylib/msgp/msgp"

	"github.com/roomspan/roomspan/adapter"
	"github.com/roomspan/roomspan/internal/msgpack"
	"github.com/roomspan/roomspan/server/parser"
)

// New returns the parser. It has no state.
func New() parser.Parser { return codec{} }

type codec struct{}

// The errors of packets of clients. Their texts hold nothing that a client
// sent.
var (
	errText   = errors.New("msgpack: text message")
	errFormat = errors.New("msgpack: malformed packet")
)

// Encode implements parser.Parser.
func (codec) Encode(p *parser.Packet) ([]parser.Message, error) {
	size := 32 + len(p.Namespace) + len(p.Data)
	for _, a := range p.Attachments {
		size += len(a)
	}
	fields := uint32(2)
	if p.Data != nil {
		fields++
	}
	if p.HasID {
		fields++
	}
	b := msgp.AppendMapHeader(make([]byte, 0, size), fields)
	b = msgp.AppendInt(msgp.AppendString(b, "type"), int(p.Type))
	b = msgp.AppendString(msgp.AppendString(b, "nsp"), p.Namespace)
	if p.HasID {
		b = msgp.AppendUint64(msgp.AppendString(b, "id"), p.ID)
	}
	if p.Data != nil {
		var err error
		if b, err = appendData(msgp.AppendString(b, "data"), p); err != nil {
			return nil, err
		}
	}
	return []parser.Message{{Data: b, Binary: true}}, nil
}

const arrayOfOne = 0x91

// appendData appends the payload: an array, or one object, which is wrapped in
// an array for the conversion.
func appendData(b []byte, p *parser.Packet) ([]byte, error) {
	if p.Type == parser.Event || p.Type == parser.Ack {
		return msgpack.AppendPacketData(b, &adapter.Packet{Args: p.Data, Attachments: p.Attachments})
	}
	wrapped := append(append([]byte{'['}, p.Data...), ']')
	out, err := msgpack.AppendPacketData(b, &adapter.Packet{Args: wrapped})
	if err != nil || out[len(b)] != arrayOfOne {
		return nil, errFormat
	}
	return append(b, out[len(b)+1:]...), nil
}

// NewDecoder implements parser.Parser.
func (codec) NewDecoder(maxAttachments int) parser.Decoder { return decoder{maxAttachments} }

type decoder struct{ maxAttachments int }

// Add implements parser.Decoder: every message is a packet.
func (d decoder) Add(m parser.Message) (*parser.Packet, error) {
	if !m.Binary {
		return nil, errText
	}
	b := m.Data
	if len(b) == 0 || msgp.NextType(b) != msgp.MapType {
		return nil, errFormat
	}
	if end, err := msgpack.Skip(b); err != nil || len(end) > 0 {
		return nil, errFormat
	}
	n, b, err := msgp.ReadMapHeaderBytes(b)
	if err != nil {
		return nil, errFormat
	}
	p := new(parser.Packet)
	typed := false
	for range n {
		var key []byte
		if key, b, err = msgp.ReadStringZC(b); err != nil {
			return nil, errFormat
		}
		typed = typed || string(key) == "type"
		if b, err = d.field(p, string(key), b); err != nil {
			return nil, err
		}
	}
	if !typed {
		return nil, errFormat
	}
	for i, a := range p.Attachments {
		p.Attachments[i] = bytes.Clone(a) // they alias the message
	}
	return p, nil
}

// field reads the value of a member of the packet. Other members, such as
// options, are passed over.
func (d decoder) field(p *parser.Packet, key string, b []byte) (rest []byte, err error) {
	if key != "type" && undefined(b) {
		return msgpack.Skip(b)
	}
	switch key {
	case "type":
		var t uint8
		if t, rest, err = msgp.ReadUint8Bytes(b); err != nil {
			return nil, errFormat
		}
		p.Type = parser.Type(t)
		return rest, nil
	case "nsp":
		var nsp []byte
		if nsp, rest, err = msgp.ReadStringZC(b); err != nil {
			return nil, errFormat
		}
		p.Namespace = string(nsp)
		return rest, nil
	case "id":
		if p.ID, rest, err = msgp.ReadUint64Bytes(b); err != nil {
			return nil, errFormat
		}
		p.HasID = true
		return rest, nil
	case "data":
		data, rest, err := msgpack.ReadBounded(b, d.maxAttachments)
		if err != nil {
			return nil, errFormat
		}
		p.Data = data.Args[1 : len(data.Args)-1]
		p.Attachments = data.Attachments
		return rest, nil
	}
	return msgpack.Skip(b)
}

// undefined reports whether a value is nil, or what the encoder of JavaScript
// makes of undefined: an extension of type 0 with one byte.
func undefined(b []byte) bool {
	return len(b) > 0 && (b[0] == 0xc0 || len(b) > 1 && b[0] == 0xd4 && b[1] == 0)
}

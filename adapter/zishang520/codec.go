package zishang520

import (
	"bytes"
	"errors"
	"strconv"
	"sync/atomic"

	"github.com/zishang520/engine.io/v2/types"
	"github.com/zishang520/socket.io-go-parser/v2/parser"

	"github.com/roomspan/roomspan/adapter"
)

var (
	// errEncode is what encode returns where the server's encoder writes a
	// packet without its arguments.
	errEncode = errors.New("zishang520: the arguments cannot be encoded")

	errDecode = errors.New("zishang520: the arguments cannot be decoded")
)

// encode makes the canonical form of arguments as the server's encoder writes
// them. It reads what is an io.Reader.
func encode(args any) (*adapter.Packet, error) {
	list, _ := args.([]any)
	if list == nil {
		list = []any{}
	}
	parts := parser.NewEncoder().Encode(&parser.Packet{Type: parser.EVENT, Nsp: "/", Data: list})
	text := parts[0].Bytes()
	start := bytes.IndexByte(text, '[')
	if start < 0 {
		return nil, errEncode
	}
	p := &adapter.Packet{Args: bytes.Clone(text[start:])}
	for _, part := range parts[1:] {
		p.Attachments = append(p.Attachments, bytes.Clone(part.Bytes()))
	}
	return p, nil
}

// decode makes of the canonical form what the listeners of the server get for
// such arguments of a client.
func decode(p *adapter.Packet) (args []any, err error) {
	d := parser.NewDecoder()
	defer d.Destroy()
	done := false
	_ = d.On("decoded", func(decoded ...any) {
		if packet, ok := decoded[0].(*parser.Packet); ok {
			args, done = packet.Data.([]any)
		}
	})
	var id uint64 // that of an acknowledgement: any array is one
	for _, part := range wire(parser.ACK, "/", &id, p) {
		if err := d.Add(part); err != nil {
			return nil, errors.Join(errDecode, err)
		}
	}
	if !done {
		return nil, errDecode
	}
	return args, nil
}

// wire returns the packet as the server's default parser writes it.
func wire(kind parser.PacketType, nsp string, id *uint64, p *adapter.Packet) []types.BufferInterface {
	text := make([]byte, 0, len(p.Args)+len(nsp)+24)
	if len(p.Attachments) > 0 {
		text = append(text, byte(kind)+byte(parser.BINARY_EVENT-parser.EVENT))
		text = append(strconv.AppendInt(text, int64(len(p.Attachments)), 10), '-')
	} else {
		text = append(text, byte(kind))
	}
	if nsp != "/" {
		text = append(append(text, nsp...), ',')
	}
	if id != nil {
		text = strconv.AppendUint(text, *id, 10)
	}
	parts := []types.BufferInterface{types.NewStringBuffer(append(text, p.Args...))}
	for _, b := range p.Attachments {
		parts = append(parts, types.NewBytesBuffer(b))
	}
	return parts
}

// encoded returns an event for the clients of the server, as its parser writes
// it, and the event itself, for those who listen to what goes out: that is
// decoded when it is asked for.
func (n *namespace) encoded(p *adapter.Packet, id *uint64) (parts []types.BufferInterface, packet func() *parser.Packet, err error) {
	var once atomic.Pointer[parser.Packet]
	packet = func() *parser.Packet {
		if known := once.Load(); known != nil {
			return known
		}
		made := &parser.Packet{Type: parser.EVENT, Nsp: n.name, Id: id}
		if args, err := decode(p); err == nil {
			made.Data = args
		}
		once.Store(made)
		return made
	}
	if n.nsp.Server().Opts().GetRawParser() == nil {
		return wire(parser.EVENT, n.name, id, p), packet, nil
	}
	args, err := decode(p)
	if err != nil {
		return nil, nil, err
	}
	parts = n.nsp.Server().Encoder().Encode(&parser.Packet{Type: parser.EVENT, Nsp: n.name, Id: id, Data: args})
	return parts, packet, nil
}

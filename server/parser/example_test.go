package parser_test

import (
	"encoding/json"
	"errors"
	"log"

	"github.com/roomspan/roomspan/server"
	"github.com/roomspan/roomspan/server/parser"
	"github.com/roomspan/roomspan/server/parser/msgpack"
)

// lines sends a packet as one text message, {"type":2,"nsp":"/","data":["x"]},
// and takes no binary: the parser of socket.io-client must do the same.
type lines struct{}

type line struct {
	Type parser.Type     `json:"type"`
	NSP  string          `json:"nsp"`
	ID   *uint64         `json:"id,omitempty"`
	Data json.RawMessage `json:"data,omitempty"`
}

func (lines) Encode(p *parser.Packet) ([]parser.Message, error) {
	if len(p.Attachments) > 0 {
		return nil, errors.New("lines: there is no binary")
	}
	l := line{Type: p.Type, NSP: p.Namespace, Data: p.Data}
	if p.HasID {
		l.ID = &p.ID
	}
	text, err := json.Marshal(l)
	return []parser.Message{{Data: text}}, err
}

// A packet never has more than one message, so that a decoder has no state.
func (lines) NewDecoder(int) parser.Decoder { return lines{} }

func (lines) Add(m parser.Message) (*parser.Packet, error) {
	var l line
	if m.Binary {
		return nil, errors.New("lines: there is no binary")
	}
	if err := json.Unmarshal(m.Data, &l); err != nil {
		return nil, err
	}
	p := &parser.Packet{Type: l.Type, Namespace: l.NSP, Data: l.Data}
	if l.ID != nil {
		p.ID, p.HasID = *l.ID, true
	}
	return p, nil
}

// A parser of the program's own.
func Example() {
	io, err := server.New(server.WithParser(lines{}))
	if err != nil {
		log.Fatal(err)
	}
	server.Reply(io, "double", func(_ *server.Socket, n int) (int, error) { return 2 * n, nil })
}

// The parser that speaks to socket.io-msgpack-parser.
func Example_msgpack() {
	io, err := server.New(server.WithParser(msgpack.New()))
	if err != nil {
		log.Fatal(err)
	}
	server.On(io, "image", func(s *server.Socket, png []byte) error { return s.Broadcast().Emit("image", png) })
}

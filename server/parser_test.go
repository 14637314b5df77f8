package server_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/gobwas/ws"

	"github.com/roomspan/roomspan/adapter/adaptertest"
	"github.com/roomspan/roomspan/server"
	"github.com/roomspan/roomspan/server/parser"
	"github.com/roomspan/roomspan/server/parser/msgpack"
)

// lines is a parser for tests: a packet is JSON, in one text message or, if it
// has attachments, with them as binary messages behind it.
type lines struct{}

type linesDecoder struct {
	packet *parser.Packet
	count  int
}

func (lines) Encode(p *parser.Packet) ([]parser.Message, error) {
	switch {
	case bytes.Contains(p.Data, []byte("refuse")):
		return nil, errors.New("refused by the parser")
	case bytes.Contains(p.Data, []byte("panic")):
		panic("in the parser")
	case bytes.Contains(p.Data, []byte("nothing")):
		return nil, nil
	}
	head, err := json.Marshal(p)
	messages := []parser.Message{{Data: head}}
	for _, a := range p.Attachments {
		messages = append(messages, parser.Message{Data: a, Binary: true})
	}
	return messages, err
}

func (lines) NewDecoder(int) parser.Decoder { return new(linesDecoder) }

func (d *linesDecoder) Add(m parser.Message) (*parser.Packet, error) {
	if m.Binary {
		d.packet.Attachments[d.count] = bytes.Clone(m.Data)
		d.count++
	} else {
		d.packet, d.count = new(parser.Packet), 0
		if err := json.Unmarshal(m.Data, d.packet); err != nil {
			return nil, err
		}
	}
	if d.count < len(d.packet.Attachments) {
		return nil, nil
	}
	return d.packet, nil
}

// line returns a packet as the parser writes it.
func line(t *testing.T, p parser.Packet) string {
	t.Helper()
	b, err := json.Marshal(p)
	must(t, err)
	return string(b)
}

func TestOwnParser(t *testing.T) {
	reported := make(chan error, 10)
	n := start(t, server.WithParser(lines{}), server.WithErrorHandler(func(_ *server.Socket, _ string, err error) { reported <- err }))
	sockets := make(chan *server.Socket, 1)
	n.OnConnection(func(s *server.Socket) { sockets <- s })
	server.Reply(n, "double", func(_ *server.Socket, n int) (int, error) { return 2 * n, nil })
	server.On(n, "bytes", func(s *server.Socket, b []byte) error { return s.Emit("back", b) })
	c := dial(t, n)
	c.send("4" + line(t, parser.Packet{Type: parser.Connect, Namespace: "/nowhere"}))
	c.want(line(t, parser.Packet{Type: parser.ConnectError, Namespace: "/nowhere", Data: []byte(`{"message":"Invalid namespace"}`)}))
	c.send("4" + line(t, parser.Packet{Type: parser.Connect, Namespace: "/"}))
	s := recv(t, sockets)
	c.want(line(t, parser.Packet{Type: parser.Connect, Namespace: "/", Data: fmt.Appendf(nil, `{"sid":%q}`, s.ID())}))
	c.send("4" + line(t, parser.Packet{Type: parser.Event, Namespace: "/", ID: 7, HasID: true, Data: []byte(`["double",21]`)}))
	c.want(line(t, parser.Packet{Type: parser.Ack, Namespace: "/", ID: 7, HasID: true, Data: []byte(`[42]`)}))
	binary := parser.Packet{Type: parser.Event, Namespace: "/", Data: []byte(`["bytes",{"_placeholder":true,"num":0}]`), Attachments: [][]byte{nil}}
	c.send("4" + line(t, binary))
	c.write(ws.NewBinaryFrame([]byte{1, 2}))
	binary.Data, binary.Attachments = []byte(`["back",{"_placeholder":true,"num":0}]`), [][]byte{{1, 2}}
	c.want(line(t, binary), "b\x01\x02")
	go func() {
		c.send("4" + line(t, parser.Packet{Type: parser.Ack, Namespace: "/", ID: 1, HasID: true, Data: []byte(`["yes"]`)}))
	}()
	if answer, err := server.Call[string](t.Context(), s, "ask"); err != nil || answer != "yes" {
		t.Errorf("answer %q: %v", answer, err)
	}
	c.next()

	for _, bad := range []string{"refuse", "panic", "nothing"} {
		if err := s.Emit(bad); err == nil {
			t.Errorf("%s: Emit did not fail", bad)
		}
		must(t, n.Emit(bad))
		if err := recv(t, reported); err == nil {
			t.Errorf("%s: nothing was reported", bad)
		}
	}
	must(t, s.Emit("still here"))
	c.want(line(t, parser.Packet{Type: parser.Event, Namespace: "/", Data: []byte(`["still here"]`)}))
}

func TestOwnParserIsHeldToTheProtocol(t *testing.T) {
	n := start(t, server.WithParser(lines{}), server.WithMaxAttachments(1))
	for name, bad := range map[string]string{
		"no packet":            "{",
		"panic":                "", // as a binary message, which finds no packet to belong to
		"type":                 `{"Type":9,"Namespace":"/"}`,
		"namespace":            `{"Type":0,"Namespace":"x"}`,
		"no array":             line(t, parser.Packet{Type: parser.Event, Namespace: "/", Data: []byte(`{}`)}),
		"no JSON":              line(t, parser.Packet{Type: parser.Event, Namespace: "/", Data: []byte(`["x"`)}),
		"reserved name":        line(t, parser.Packet{Type: parser.Event, Namespace: "/", Data: []byte(`["disconnect"]`)}),
		"ack without id":       line(t, parser.Packet{Type: parser.Ack, Namespace: "/", Data: []byte(`[]`)}),
		"id on a connect":      line(t, parser.Packet{Type: parser.Connect, Namespace: "/", HasID: true}),
		"placeholder":          line(t, parser.Packet{Type: parser.Event, Namespace: "/", Data: []byte(`["x",{"_placeholder":true,"num":3}]`), Attachments: [][]byte{{1}}}),
		"too many attachments": line(t, parser.Packet{Type: parser.Event, Namespace: "/", Data: []byte(`["x"]`), Attachments: [][]byte{{1}, {2}}}),
	} {
		t.Run(name, func(t *testing.T) {
			c := dial(t, n)
			c.send("4" + line(t, parser.Packet{Type: parser.Connect, Namespace: "/"}))
			c.next()
			if bad == "" {
				c.write(ws.NewBinaryFrame(nil))
			} else {
				c.send("4" + bad)
				for range strings.Count(name, "attachments") * 2 {
					c.write(ws.NewBinaryFrame([]byte{1}))
				}
				if name == "placeholder" {
					c.write(ws.NewBinaryFrame([]byte{1}))
				}
			}
			c.gone()
		})
	}
}

func TestNodesWithDifferentParsers(t *testing.T) {
	bus := adaptertest.NewBus()
	a := start(t, server.WithAdapter(bus.Backend()))
	b := start(t, server.WithAdapter(bus.Backend()), server.WithParser(msgpack.New()))
	joined := make(chan *server.Socket, 1)
	b.OnConnection(func(s *server.Socket) { joined <- s })
	ca, _ := join(t, a)
	cb := dial(t, b)
	send := func(p parser.Packet) {
		m, err := msgpack.New().Encode(&p)
		must(t, err)
		cb.write(ws.NewBinaryFrame(m[0].Data))
	}
	get := func() parser.Packet {
		t.Helper()
		p, err := msgpack.New().NewDecoder(10).Add(parser.Message{Data: []byte(strings.TrimPrefix(cb.next(), "b")), Binary: true})
		must(t, err)
		return *p
	}
	send(parser.Packet{Type: parser.Connect, Namespace: "/"})
	if p := get(); p.Type != parser.Connect {
		t.Errorf("the answer to connect is %+v", p)
	}
	recv(t, joined)
	server.On2(b, "say", func(_ *server.Socket, text string, data []byte) error { return b.Emit("said", text, data) })
	send(parser.Packet{Type: parser.Event, Namespace: "/", Attachments: [][]byte{{7}},
		Data: []byte(`["say","ü",{"_placeholder":true,"num":0}]`)})
	ca.want(`51-["said","ü",{"_placeholder":true,"num":0}]`, "b\x07")
	if p := get(); string(p.Data) != `["said","ü",{"_placeholder":true,"num":0}]` || string(p.Attachments[0]) != "\x07" {
		t.Errorf("the node itself has %+v", p)
	}
	must(t, a.Emit("from a", 1.5))
	if p := get(); string(p.Data) != `["from a",1.5]` {
		t.Errorf("from the other node came %+v", p)
	}
}

// shouting is a JSON library that is easily told from the usual one.
type shouting struct{}

func (shouting) Marshal(v any) ([]byte, error) {
	b, err := json.Marshal(v)
	if string(b) == `{"X":0,"Y":0}` {
		return []byte("{"), nil
	}
	return bytes.ToUpper(b), err
}

func (shouting) Unmarshal(data []byte, v any) error {
	return json.Unmarshal(bytes.ReplaceAll(data, []byte("1"), []byte("2")), v)
}

func TestOwnJSONLibrary(t *testing.T) {
	n := start(t, server.WithJSON(shouting{}))
	type pair struct{ X, Y int }
	server.Reply(n, "x", func(_ *server.Socket, p pair) (pair, error) { return p, nil })
	var sent *server.Socket
	n.OnConnection(func(s *server.Socket) { sent = s })
	c, _ := join(t, n)
	c.send(`421["x",{"X":1,"Y":11}]`)
	c.want(`31[{"X":2,"Y":22}]`)
	c.send(`422["x",{}]`)
	c.want(`32[{"ERROR":"INTERNAL ERROR"}]`) // the answer of an error is encoded as all are
	go func() { c.send(`430[{"X":1}]`, `431[{"X":1}]`) }()
	if p, err := server.Call[pair](t.Context(), sent, "ask"); err != nil || p.X != 2 {
		t.Errorf("answer %v: %v", p, err)
	}
}

func TestOptionsOfParsers(t *testing.T) {
	for name, opts := range map[string][]server.Option{
		"WithParser": {server.WithParser(nil)},
		"WithJSON":   {server.WithJSON(nil)},
		"WithEIO3":   {server.WithEIO3(), server.WithParser(msgpack.New())},
	} {
		var oe *server.OptionError
		if _, err := server.New(opts...); !errors.As(err, &oe) || oe.Option != name {
			t.Errorf("%s: %v", name, err)
		}
	}
}

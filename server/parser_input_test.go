package server_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/gobwas/ws"

	"github.com/roomspan/roomspan/server"
	"github.com/roomspan/roomspan/server/parser"
	"github.com/roomspan/roomspan/server/parser/msgpack"
)

// packed is a client whose packets are msgpack.
type packed struct{ *client }

func dialPacked(t testing.TB, n *node) packed { return packed{dial(t, n)} }

func (c packed) put(packets ...parser.Packet) {
	c.t.Helper()
	for i := range packets {
		m, err := msgpack.New().Encode(&packets[i])
		must(c.t, err)
		c.write(ws.NewBinaryFrame(m[0].Data))
	}
}

// get returns the next packet in the words of the default parser.
func (c packed) get() string {
	c.t.Helper()
	m := parser.Message{Data: []byte(strings.TrimPrefix(c.next(), "b")), Binary: true}
	p, err := msgpack.New().NewDecoder(100).Add(m)
	must(c.t, err)
	return fmt.Sprintf("%d %s %s", p.Type, p.Namespace, p.Data)
}

// A name that cannot be written in the default packets is refused under that
// name, by parents too: Node has no such limit with this parser, but a cluster
// may have nodes with the default one.
func TestNamespacesThatOnlyMsgpackCanName(t *testing.T) {
	n := start(t, server.WithParser(msgpack.New()))
	n.of(t, "/q")
	n.OfFunc(func(string, server.Handshake) bool { return true })
	for _, name := range []string{"/a,b", "/q,z", "/q?y=1", "/?", "/,"} {
		t.Run(name, func(t *testing.T) {
			c := dialPacked(t, n)
			c.put(parser.Packet{Type: parser.Connect, Namespace: name})
			if got, want := c.get(), "4 "+name+` {"message":"Invalid namespace"}`; got != want {
				t.Errorf("got %s, want %s", got, want)
			}
			c.put(parser.Packet{Type: parser.Connect, Namespace: "/q"}) // the connection lives
			if got := c.get(); !strings.HasPrefix(got, `0 /q {"sid":`) {
				t.Errorf("got %s", got)
			}
			c.put(parser.Packet{Type: parser.Event, Namespace: name, Data: []byte(`["x"]`)})
			c.gone()
		})
	}
	if errs := n.Stats().HandlerErrors; errs != 0 {
		t.Errorf("a client can fill the log: %d errors", errs)
	}
}

func TestMaxAttachmentsOfMsgpack(t *testing.T) {
	n := start(t, server.WithParser(msgpack.New()), server.WithMaxAttachments(3))
	server.Reply(n, "sizes", func(_ *server.Socket, all [][]byte) ([]int, error) {
		var sizes []int
		for _, b := range all {
			sizes = append(sizes, len(b))
		}
		return sizes, nil
	})
	event := func(count int) parser.Packet {
		p := parser.Packet{Type: parser.Event, Namespace: "/", ID: 5, HasID: true}
		var list []string
		for i := range count {
			list = append(list, fmt.Sprintf(`{"_placeholder":true,"num":%d}`, i))
			p.Attachments = append(p.Attachments, make([]byte, i))
		}
		p.Data = fmt.Appendf(nil, `["sizes",[%s]]`, strings.Join(list, ","))
		return p
	}
	c := dialPacked(t, n)
	c.put(parser.Packet{Type: parser.Connect, Namespace: "/"})
	c.get()
	c.put(event(3))
	if got := c.get(); got != `3 / [[0,1,2]]` {
		t.Errorf("answer %s", got)
	}
	c.put(event(4))
	c.gone()
}

// hooked is a parser that calls a function before it encodes and decodes.
type hooked struct {
	lines
	encode, decode func()
}

type hookedDecoder struct {
	parser.Decoder
	decode func()
}

func (h *hooked) Encode(p *parser.Packet) ([]parser.Message, error) {
	if h.encode != nil && p.Type == parser.Event {
		h.encode()
	}
	return h.lines.Encode(p)
}

func (h *hooked) NewDecoder(n int) parser.Decoder {
	return hookedDecoder{h.lines.NewDecoder(n), h.decode}
}

func (d hookedDecoder) Add(m parser.Message) (*parser.Packet, error) {
	if d.decode != nil {
		d.decode()
	}
	return d.Decoder.Add(m)
}

// The index of rooms is locked while a broadcast walks over it. A parser that
// joins a socket to rooms would never come back if it ran meanwhile.
func TestParserRunsUnderNoLock(t *testing.T) {
	h := new(hooked)
	n := start(t, server.WithParser(h), server.WithAckTimeout(patience))
	sockets := make(chan *server.Socket, 1)
	n.OnConnection(func(s *server.Socket) { sockets <- s })
	c := dial(t, n)
	c.send("4" + line(t, parser.Packet{Type: parser.Connect, Namespace: "/"}))
	s := recv(t, sockets)
	c.next()
	calls := 0
	h.encode = func() {
		calls++
		for i := range 500 { // of these some lie in every part of the index
			s.Join(fmt.Sprint("room", i))
		}
		for i := range 500 {
			s.Leave(fmt.Sprint("room", i))
		}
	}
	done := make(chan error, 1)
	go func() {
		err := errors.Join(n.Emit("x"), n.To(s.ID()).Emit("x"), s.Emit("x"))
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		_, askErr := n.EmitWithAck(ctx, "ask")
		done <- errors.Join(err, askErr)
	}()
	for range 3 {
		c.next()
	}
	var asked parser.Packet
	must(t, json.Unmarshal([]byte(c.next()), &asked))
	c.send("4" + line(t, parser.Packet{Type: parser.Ack, Namespace: "/", ID: asked.ID, HasID: true, Data: []byte(`[]`)}))
	must(t, recv(t, done))
	if calls != 4 {
		t.Errorf("encoded %d times", calls)
	}
}

// A panic in a decoder ends its connection alone, and is told of as any other.
func TestPanicsOfDecodersAreReported(t *testing.T) {
	reported := make(chan error, 10)
	n := start(t, server.WithParser(&hooked{decode: func() { panic("in the decoder") }}),
		server.WithErrorHandler(func(_ *server.Socket, _ string, err error) { reported <- err }))
	other := dial(t, n)
	c := dial(t, n)
	c.send("4x")
	c.gone()
	var p *server.PanicError
	if err := recv(t, reported); !errors.As(err, &p) || p.Value != "in the decoder" {
		t.Errorf("reported %v", err)
	}
	if s := n.Stats(); s.Panics != 1 || s.ProtocolErrors != 1 {
		t.Errorf("%d panics, %d protocol errors", s.Panics, s.ProtocolErrors)
	}
	select {
	case <-other.done:
		t.Error("another client was disconnected")
	default:
	}
}

// raw is a parser that writes bytes that are no text.
type raw struct{ lines }

func (r raw) Encode(p *parser.Packet) ([]parser.Message, error) {
	if p.Type == parser.Event {
		return []parser.Message{{Data: []byte("\xff")}}, nil
	}
	return r.lines.Encode(p)
}

// Text that is not UTF-8 would have every client on a WebSocket hang up,
// whoever made it: a parser, a JSON library, or a value of the program.
func TestTextThatIsNotUTF8IsNotSent(t *testing.T) {
	n := start(t, server.WithParser(raw{}))
	sockets := make(chan *server.Socket, 1)
	n.OnConnection(func(s *server.Socket) { sockets <- s })
	c := dial(t, n)
	c.send("4" + line(t, parser.Packet{Type: parser.Connect, Namespace: "/"}))
	if err := recv(t, sockets).Emit("x"); err == nil {
		t.Error("the text of a parser was taken")
	}
	for name, opts := range map[string][]server.Option{
		"encoding/json": nil, "own library": {server.WithJSON(standard{})},
	} {
		n := start(t, opts...)
		c, _ := join(t, n)
		for _, value := range []any{
			json.RawMessage("\"\xff\""), map[string]any{"a": json.RawMessage("{\"\xc3\":1}")}, invalid{}, []any{invalid{}},
		} {
			if err := n.Emit("bad", value); err == nil {
				t.Errorf("%s: %#v was taken", name, value)
			}
		}
		must(t, n.Emit("good", json.RawMessage(`"ü"`)))
		if got := c.next(); !strings.Contains(got, "good") {
			t.Errorf("%s: %q was sent", name, got)
		}
	}
}

// invalid marshals itself badly. encoding/json does not look at that closely.
type invalid struct{}

func (invalid) MarshalJSON() ([]byte, error) { return []byte("\"\xff\""), nil }

// standard is encoding/json as a plugged library.
type standard struct{}

func (standard) Marshal(v any) ([]byte, error)      { return json.Marshal(v) }
func (standard) Unmarshal(data []byte, v any) error { return json.Unmarshal(data, v) }

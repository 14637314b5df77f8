package server_test

import (
	"bufio"
	"io"
	"testing"

	"github.com/gobwas/ws"

	"github.com/roomspan/roomspan/server"
	"github.com/roomspan/roomspan/server/parser"
	"github.com/roomspan/roomspan/server/parser/msgpack"
)

// BenchmarkEchoMsgpack is BenchmarkEcho with msgpack on both sides.
func BenchmarkEchoMsgpack(b *testing.B) {
	n := start(b, server.WithParser(msgpack.New()))
	server.On(n, "x", func(s *server.Socket, text string) error { return s.Emit("x", text) })
	c, err := tryDial(n)
	must(b, err)
	b.Cleanup(func() { _ = c.conn.Close() })
	packet := func(p parser.Packet) []byte {
		m, err := msgpack.New().Encode(&p)
		must(b, err)
		return m[0].Data
	}
	c.write(ws.NewBinaryFrame(packet(parser.Packet{Type: parser.Connect, Namespace: "/"})))
	r := bufio.NewReader(c.conn)
	if _, err := readFrame(r); err != nil {
		b.Fatal(err)
	}
	event := packet(parser.Packet{Type: parser.Event, Namespace: "/", Data: []byte(event4("x", benchText)[2:])})
	frame := ws.MustCompileFrame(ws.MaskFrame(ws.NewBinaryFrame(event)))
	buf := make([]byte, 2+len(event))
	b.ReportAllocs()
	for b.Loop() {
		echo(b, c.conn, r, frame, buf)
	}
}

// BenchmarkEmitToOne is what the forms of a broadcast cost on the way out.
func BenchmarkEmitToOne(b *testing.B) {
	for name, opts := range map[string][]server.Option{"json": nil, "msgpack": {server.WithParser(msgpack.New())}} {
		b.Run(name, func(b *testing.B) {
			n := start(b, append(opts, server.WithQueueLimit(1<<20, 1<<30))...)
			c, err := tryDial(n)
			must(b, err)
			b.Cleanup(func() { _ = c.conn.Close() })
			if name == "json" {
				c.send("40")
			} else {
				m, err := msgpack.New().Encode(&parser.Packet{Type: parser.Connect, Namespace: "/"})
				must(b, err)
				c.write(ws.NewBinaryFrame(m[0].Data))
			}
			if _, err := readFrame(c.conn); err != nil {
				b.Fatal(err)
			}
			go func() { _, _ = io.Copy(io.Discard, c.conn) }()
			b.ReportAllocs()
			for b.Loop() {
				must(b, n.Emit("x", benchText, 12345, true))
			}
		})
	}
}

package server_test

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gobwas/httphead"
	"github.com/gobwas/ws"

	"github.com/roomspan/roomspan/server"
)

const benchText = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

// sink opens a connection, joins the main namespace and counts the bytes that
// come from then on.
func sink(t testing.TB, n *node, got *atomic.Int64) {
	t.Helper()
	c, err := tryDial(n)
	must(t, err)
	c.send("40")
	if _, err := readFrame(c.conn); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(c.done)
		_, _ = io.Copy(countBytes{got}, c.conn)
	}()
	t.Cleanup(func() {
		_ = c.conn.Close()
		<-c.done
	})
}

type countBytes struct{ n *atomic.Int64 }

func (c countBytes) Write(b []byte) (int, error) {
	c.n.Add(int64(len(b)))
	return len(b), nil
}

// benchJSON is as long as what is worth compressing, and as dull.
var benchJSON = func() string {
	var b strings.Builder
	for i := range 40 {
		fmt.Fprintf(&b, "{id:%d,name:user %d,score:%d,online:true,room:lobby}", i*7919%1000, i*31%97, i*i)
	}
	return b.String()
}()

// startDeflate starts a node, with deflate one that compresses for clients that
// offer it.
func startDeflate(t testing.TB, deflate bool) *node {
	t.Helper()
	n := start(t, server.WithCompression(true, deflate))
	if deflate {
		n.offers = []httphead.Option{{Name: []byte("permessage-deflate")}}
	}
	return n
}

// eventFrameLen is the length of the frame of the event x with a text.
func eventFrameLen(t testing.TB, n *node, text string) int {
	t.Helper()
	c, err := tryDial(n)
	must(t, err)
	defer c.conn.Close()
	c.send("40")
	if _, err := readFrame(c.conn); err != nil {
		t.Fatal(err)
	}
	must(t, n.Emit("x", text))
	f, err := readFrame(c.conn)
	must(t, err)
	if deflated := f.Header.Rsv1(); deflated != (n.offers != nil) {
		t.Fatalf("compressed: %v", deflated)
	}
	return len(ws.MustCompileFrame(f))
}

// frameLen is the length of the frame of an event with benchText.
const frameLen = 2 + len(`42["x",""]`) + len(benchText)

// BenchmarkBroadcast sends an event to 100 clients. The time includes that of
// the clients, which read in the same process, and decompress nothing.
func BenchmarkBroadcast(b *testing.B) {
	b.Run("short", func(b *testing.B) { benchmarkBroadcast(b, false, benchText) })
	b.Run("long", func(b *testing.B) { benchmarkBroadcast(b, false, benchJSON) })
	b.Run("long deflated", func(b *testing.B) { benchmarkBroadcast(b, true, benchJSON) })
}

func benchmarkBroadcast(b *testing.B, deflate bool, text string) {
	const clients = 100
	n := startDeflate(b, deflate)
	frameLen := eventFrameLen(b, n, text)
	var got atomic.Int64
	for range clients {
		sink(b, n, &got)
	}
	var arg any = text
	b.ReportAllocs()
	sent := int64(0)
	for b.Loop() {
		if err := n.Emit("x", arg); err != nil {
			b.Fatal(err)
		}
		sent++
		for sent*clients*int64(frameLen)-got.Load() > 64*clients*int64(frameLen) {
			time.Sleep(10 * time.Microsecond) // no client is to become a slow one
		}
	}
	eventually(b, "all has arrived", func() bool { return got.Load() == sent*clients*int64(frameLen) })
}

// BenchmarkEcho is one client that sends an event and waits for the echo.
func BenchmarkEcho(b *testing.B) {
	n := start(b)
	server.On(n, "x", func(s *server.Socket, text string) error { return s.Emit("x", text) })
	c, err := tryDial(n)
	must(b, err)
	b.Cleanup(func() { _ = c.conn.Close() })
	c.send("40")
	r := bufio.NewReader(c.conn)
	if _, err := readFrame(r); err != nil {
		b.Fatal(err)
	}
	frame := ws.MustCompileFrame(ws.MaskFrame(ws.NewTextFrame([]byte(event4("x", benchText)))))
	buf := make([]byte, frameLen)
	b.ReportAllocs()
	for b.Loop() {
		echo(b, c.conn, r, frame, buf)
	}
}

// BenchmarkDispatch is one client whose events come many at a time: from the
// frame to the handler, with an argument decoded.
func BenchmarkDispatch(b *testing.B) {
	const batch = 64
	n := start(b)
	handled := make(chan struct{}, 1)
	count := 0
	server.On(n, "x", func(*server.Socket, string) error {
		if count++; count%batch == 0 {
			handled <- struct{}{}
		}
		return nil
	})
	c, err := tryDial(n)
	must(b, err)
	b.Cleanup(func() { _ = c.conn.Close() })
	c.send("40")
	if _, err := readFrame(bufio.NewReader(c.conn)); err != nil {
		b.Fatal(err)
	}
	frame := ws.MustCompileFrame(ws.MaskFrame(ws.NewTextFrame([]byte(event4("x", benchText)))))
	frames := bytes.Repeat(frame, batch)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := c.conn.Write(frames); err != nil {
			b.Fatal(err)
		}
		<-handled
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*batch), "ns/event")
}

func echo(t testing.TB, conn net.Conn, r io.Reader, frame, buf []byte) {
	if _, err := conn.Write(frame); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(r, buf); err != nil {
		t.Fatal(err)
	}
}

func event4(name, text string) string { return `42["` + name + `","` + text + `"]` }

// Emitters on many goroutines share one target and one namespace.
func BenchmarkEmitParallel(b *testing.B) {
	n := start(b)
	target := n.To("nobody")
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			_ = target.Emit("x", 1)
		}
	})
}

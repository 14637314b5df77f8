//go:build !race && !poison

// The race detector allocates, and makes sync.Pool forget.

package server_test

import (
	"bufio"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gobwas/ws"

	"github.com/roomspan/roomspan/server"
)

// A broadcast allocates for its packet and its frame, and nothing for each of
// its receivers; nor does the compressed form.
func TestBroadcastAllocatesNothingPerReceiver(t *testing.T) {
	perEmit := func(clients int, deflate bool, text string) float64 {
		n := startDeflate(t, deflate)
		frame := int64(eventFrameLen(t, n, text))
		var got atomic.Int64
		for range clients {
			sink(t, n, &got)
		}
		var arg any = text
		emit := func() {
			before := got.Load()
			must(t, n.Emit("x", arg))
			for got.Load()-before < int64(clients)*frame {
				time.Sleep(50 * time.Microsecond)
			}
		}
		for range 20 {
			emit()
		}
		return testing.AllocsPerRun(200, emit)
	}
	for _, deflate := range []bool{false, true} {
		text := benchText
		if deflate {
			text = benchJSON
		}
		few, many := perEmit(1, deflate, text), perEmit(101, deflate, text)
		t.Logf("deflate %v: %.1f allocations with 1 client, %.1f with 101", deflate, few, many)
		if perReceiver := (many - few) / 100; perReceiver > 0.1 {
			t.Errorf("deflate %v: %.2f allocations for each receiver", deflate, perReceiver)
		}
	}
}

// An event in and its answer out: the number is a ceiling, which is lowered
// when the way becomes cheaper.
func TestAllocationsOfAnEcho(t *testing.T) {
	n := start(t)
	server.On(n.Server, "x", func(s *server.Socket, text string) error { return s.Emit("x", text) })
	c, err := tryDial(n)
	must(t, err)
	t.Cleanup(func() { _ = c.conn.Close() })
	c.send("40")
	r := bufio.NewReader(c.conn)
	if _, err := readFrame(r); err != nil {
		t.Fatal(err)
	}
	frame := ws.MustCompileFrame(ws.MaskFrame(ws.NewTextFrame([]byte(event4("x", benchText)))))
	buf := make([]byte, frameLen)
	for range 100 {
		echo(t, c.conn, r, frame, buf)
	}
	allocs := testing.AllocsPerRun(500, func() { echo(t, c.conn, r, frame, buf) })
	t.Logf("%.1f allocations", allocs)
	if allocs > 2 {
		t.Errorf("%.1f allocations", allocs)
	}
}

// An event with a text costs the text, for a handler with types.
func TestAllocationsOfAnEvent(t *testing.T) {
	n := start(t)
	handled := make(chan struct{}, 1)
	server.On(n.Server, "x", func(_ *server.Socket, text string) error {
		if text == benchText {
			handled <- struct{}{}
		}
		return nil
	})
	c, err := tryDial(n)
	must(t, err)
	t.Cleanup(func() { _ = c.conn.Close() })
	c.send("40")
	if _, err := readFrame(bufio.NewReader(c.conn)); err != nil {
		t.Fatal(err)
	}
	frame := ws.MustCompileFrame(ws.MaskFrame(ws.NewTextFrame([]byte(event4("x", benchText)))))
	send := func() {
		if _, err := c.conn.Write(frame); err != nil {
			t.Error(err)
		}
		<-handled
	}
	for range 100 {
		send()
	}
	allocs := testing.AllocsPerRun(500, send)
	t.Logf("%.1f allocations", allocs)
	if allocs > 1 {
		t.Errorf("%.1f allocations", allocs)
	}
}

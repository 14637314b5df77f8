package server_test

import (
	"context"
	"fmt"
	"math"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/roomspan/roomspan/server"
)

// A client whose handlers are behind is not read any further; nothing is lost
// or reordered, and it is read again when they have caught up.
func TestFullInboxStopsReading(t *testing.T) {
	for _, tt := range []struct {
		name          string
		events, bytes int
	}{
		{"events", 8, 1 << 20},
		{"bytes", 1 << 20, 8 << 10},
		{"no bound", math.MaxInt, math.MaxInt},
	} {
		t.Run(tt.name, func(t *testing.T) {
			n := start(t, server.WithInboundLimit(tt.events, tt.bytes))
			const total = 2000
			release := make(chan struct{})
			got := make(chan int, total)
			blocked := make(chan struct{}, total)
			server.On2(n, "x", func(_ *server.Socket, i int, _ string) error {
				blocked <- struct{}{}
				<-release
				got <- i
				return nil
			})
			c, _ := join(t, n)
			sent := make(chan struct{})
			go func() {
				defer close(sent)
				filler := strings.Repeat("x", 1<<10)
				for i := range total {
					if i == 1 {
						<-blocked
					}
					c.send(fmt.Sprintf(`42["x",%d,%q]`, i, filler))
				}
			}()
			if tt.events < math.MaxInt {
				eventually(t, "the client is not read", func() bool { return n.Stats().InboundPauses > 0 })
				received := n.Stats().Received
				time.Sleep(50 * time.Millisecond)
				if now := n.Stats().Received; now != received || now > 20 {
					t.Errorf("%d messages received, then %d", received, now)
				}
			} else {
				eventually(t, "all is received", func() bool { return n.Stats().Received == total+1 })
			}
			other, _ := join(t, n)
			must(t, n.Local().Emit("others"))
			other.want(event("others"))
			close(release)
			for i := range total {
				if v := recv(t, got); v != i {
					t.Fatalf("event %d came as number %d", v, i)
				}
			}
			recv(t, sent)
		})
	}
}

// The trap: the acknowledgement that a handler waits for is behind events for
// which the inbox has no room.
func TestHandlerGetsAckWhileInboxIsFull(t *testing.T) {
	n := start(t, server.WithInboundLimit(4, math.MaxInt))
	asked := make(chan error, 1)
	full, blocked := make(chan struct{}), make(chan struct{})
	n.Handle("ask", func(e *server.Event) error {
		close(blocked)
		<-full
		v, err := server.Call[string](t.Context(), e.Socket(), "question")
		if err == nil && v != "answer" {
			err = fmt.Errorf("answer %q", v)
		}
		asked <- err
		return nil
	})
	var rest atomic.Int32
	n.Handle("rest", func(*server.Event) error { rest.Add(1); return nil })
	c, _ := join(t, n)
	c.send(`42["ask"]`)
	recv(t, blocked)
	for range 40 {
		c.send(`42["rest"]`)
	}
	eventually(t, "the inbox is full", func() bool { return n.Stats().InboundPauses > 0 })
	close(full)
	p := c.next()
	c.send("43" + strings.TrimSuffix(p[1:], `["question"]`) + `["answer"]`)
	must(t, recv(t, asked))
	eventually(t, "all is handled", func() bool { return rest.Load() == 40 })
}

// The higher bound is for the time of the wait alone.
func TestInboundLimitReturnsAfterTheAnswer(t *testing.T) {
	n := start(t, server.WithInboundLimit(4, math.MaxInt))
	release := make(chan struct{})
	blocked := make(chan error, 1)
	n.Handle("ask", func(e *server.Event) error {
		_, err := e.Socket().EmitWithAck(t.Context(), "question")
		blocked <- err
		<-release
		return nil
	})
	c, _ := join(t, n)
	c.send(`42["ask"]`)
	c.send("43" + c.ackID("question") + "[]")
	must(t, recv(t, blocked))
	for range 40 {
		c.send(`42["rest"]`)
	}
	eventually(t, "the client is not read", func() bool { return n.Stats().InboundPauses > 0 })
	if got := n.Stats().Received; got > 8 {
		t.Errorf("%d messages received", got)
	}
	close(release)
	eventually(t, "all is handled", func() bool { return n.Stats().Events == 41 })
}

// Bounds as high as an int must not overflow while something waits for an ack.
func TestNoInboundLimitWhileAsking(t *testing.T) {
	n := start(t, server.WithInboundLimit(math.MaxInt, math.MaxInt))
	n.Handle("ask", func(e *server.Event) error {
		_, err := server.Call[int](t.Context(), e.Socket(), "question")
		return err
	})
	c, _ := join(t, n)
	c.send(`42["ask"]`)
	p := c.next()
	c.send(`42["rest"]`, `42["rest"]`, "43"+strings.TrimSuffix(p[1:], `["question"]`)+`[1]`)
	eventually(t, "all is handled", func() bool { return n.Stats().Events == 3 })
	if st := n.Stats(); st.HandlerErrors != 0 || st.InboundPauses != 0 {
		t.Errorf("%d errors, %d pauses", st.HandlerErrors, st.InboundPauses)
	}
}

// A client that joins and leaves in a loop while handlers are slow must not
// gather sockets without bound.
func TestSocketsThatLeftCountAgainstTheInbox(t *testing.T) {
	n := start(t, server.WithInboundLimit(8, math.MaxInt))
	release := make(chan struct{})
	n.OnConnection(func(*server.Socket) { <-release })
	c := dial(t, n)
	const rounds = 50
	go func() {
		for range rounds {
			c.send("40")
			select {
			case <-c.packets:
			case <-c.done:
				return
			}
			c.send("41")
		}
	}()
	eventually(t, "the client is not read", func() bool { return n.Stats().InboundPauses > 0 })
	if st := n.Stats(); st.Connections > 9 {
		t.Errorf("%d sockets", st.Connections)
	}
	close(release)
	eventually(t, "all have been served", func() bool {
		st := n.Stats()
		return st.Connections == rounds && st.Sockets == 0
	})
}

func TestBackPressureOnPolling(t *testing.T) {
	n := start(t, server.WithInboundLimit(2, math.MaxInt))
	release := make(chan struct{})
	n.Handle("x", func(*server.Event) error { <-release; return nil })
	p := poll(t, n)
	p.post("40")
	p.get()
	posted := make(chan string, 1)
	go func() {
		body, _ := p.post(`42["x"]`, `42["x"]`, `42["x"]`, `42["x"]`)
		posted <- body
	}()
	eventually(t, "the client is not read", func() bool { return n.Stats().InboundPauses > 0 })
	select {
	case <-posted:
		t.Error("the POST was answered although its events have no room")
	default:
	}
	close(release)
	if body := recv(t, posted); body != "ok" {
		t.Errorf("answered %q", body)
	}
	eventually(t, "all is handled", func() bool { return n.Stats().Events == 4 })
}

// A client that does not read pays alone.
func TestSlowClientPaysAlone(t *testing.T) {
	n := start(t, server.WithQueueLimit(1<<20, 1<<18))
	deaf, err := tryDial(n)
	must(t, err)
	deaf.deaf = make(chan struct{})
	deaf.attach(t)
	deaf.send("40")
	eventually(t, "it is connected", func() bool { return n.Stats().Sockets == 1 })
	reasons := make(chan server.Reason, 1)
	n.OnDisconnect(func(_ *server.Socket, r server.Reason) { reasons <- r })
	c, _ := join(t, n)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	text := strings.Repeat("x", 1<<14)
	for n.Stats().SlowClients == 0 && ctx.Err() == nil {
		must(t, n.Emit("x", text))
		if got := c.next(); len(got) != len(text)+9 {
			t.Fatalf("packet of %d bytes", len(got))
		}
	}
	if r := recv(t, reasons); r != server.ReasonSlowClient {
		t.Errorf("reason %q", r)
	}
	if st := n.Stats(); st.SlowClients != 1 || st.Sockets != 1 {
		t.Errorf("%d slow clients, %d sockets", st.SlowClients, st.Sockets)
	}
}

package server_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/roomspan/roomspan/server"
)

// ackID returns the id with which the server asked, given an event without
// arguments.
func (c *client) ackID(name string) string {
	c.t.Helper()
	p := c.next()
	id, ok := strings.CutSuffix(strings.TrimPrefix(p, "2"), `["`+name+`"]`)
	if !ok || id == "" {
		c.t.Fatalf("%q does not ask %q", p, name)
	}
	return id
}

// asked returns a socket whose client is at hand.
func asked(t *testing.T, opts ...server.Option) (*node, *client, *server.Socket) {
	t.Helper()
	n := start(t, opts...)
	connected := make(chan *server.Socket, 1)
	n.OnConnection(func(s *server.Socket) { connected <- s })
	c, _ := join(t, n)
	return n, c, recv(t, connected)
}

func TestCall(t *testing.T) {
	_, c, s := asked(t)
	for _, tt := range []struct {
		answer string
		want   point
		bad    bool
	}{
		{`[{"x":1,"y":2}]`, point{1, 2}, false},
		{`[{"x":1},"extra"]`, point{1, 0}, false},
		{`[]`, point{}, false},
		{`["text"]`, point{}, true},
	} {
		done := make(chan struct{})
		go func() {
			defer close(done)
			got, err := server.Call[point](t.Context(), s, "q")
			var de *server.DecodeError
			if got != tt.want || errors.As(err, &de) != tt.bad || err != nil != tt.bad {
				t.Errorf("%s: got %+v, %v", tt.answer, got, err)
			}
		}()
		id := c.ackID("q")
		c.send("43"+id+tt.answer, "43"+id+`["again"]`) // a second answer is ignored
		recv(t, done)
	}
}

func TestCallEnds(t *testing.T) {
	for _, tt := range []struct {
		name    string
		timeout time.Duration
		end     func(c *client, s *server.Socket, cancel context.CancelFunc)
		want    error
	}{
		{"default timeout", 50 * time.Millisecond, func(*client, *server.Socket, context.CancelFunc) {}, server.ErrAckTimeout},
		{"client leaves", patience, func(c *client, _ *server.Socket, _ context.CancelFunc) { c.send("41") }, server.ErrDisconnected},
		{"client goes", patience, func(c *client, _ *server.Socket, _ context.CancelFunc) { _ = c.conn.Close() }, server.ErrDisconnected},
		{"server disconnects", patience, func(_ *client, s *server.Socket, _ context.CancelFunc) { s.Disconnect(true) }, server.ErrDisconnected},
		{"context", patience, func(_ *client, _ *server.Socket, cancel context.CancelFunc) { cancel() }, context.Canceled},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, c, s := asked(t, server.WithAckTimeout(tt.timeout))
			ctx, cancel := context.WithCancel(context.Background())
			defer cancel()
			failed := make(chan error, 1)
			go func() {
				_, err := s.EmitWithAck(ctx, "q")
				failed <- err
			}()
			id := c.ackID("q")
			tt.end(c, s, cancel)
			if err := recv(t, failed); !errors.Is(err, tt.want) {
				t.Errorf("error %v", err)
			}
			c.send("43" + id + "[1]") // too late, and ignored
		})
	}
}

func TestCallWithDeadline(t *testing.T) {
	n, c, s := asked(t)
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
	defer cancel()
	if _, err := s.EmitWithAck(ctx, "q"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("error %v", err)
	}
	c.ackID("q")
	if _, err := s.EmitWithAck(ctx, "never sent"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("error %v", err)
	}
	must(t, n.Emit("marker"))
	c.want(event("marker"))
	if _, err := s.EmitWithAck(t.Context(), "disconnect"); !errors.Is(err, server.ErrReservedEvent) {
		t.Errorf("error %v", err)
	}
	if _, err := s.EmitWithAck(t.Context(), "x", func() {}); err == nil {
		t.Error("a function was encoded")
	}
}

func TestCallFromHandlersOfTheSocket(t *testing.T) {
	n := start(t)
	results := make(chan error, 3)
	ask := func(s *server.Socket) {
		_, err := s.EmitWithAck(t.Context(), "q")
		results <- err
	}
	n.OnConnection(ask)
	n.OnDisconnect(func(s *server.Socket, _ server.Reason) { ask(s) })
	n.Handle("x", func(e *server.Event) error { ask(e.Socket()); return nil })
	c, _ := join(t, n)
	c.send("43" + c.ackID("q") + "[]")
	must(t, recv(t, results))
	c.send(`42["x"]`)
	c.send("43" + c.ackID("q") + "[]")
	must(t, recv(t, results))
	c.send("41")
	if err := recv(t, results); !errors.Is(err, server.ErrDisconnected) {
		t.Errorf("error %v", err)
	}
}

func TestUnknownAcksAreIgnored(t *testing.T) {
	n, c, _ := asked(t)
	c.send(`43999["x"]`, `430[]`, `431234567890123456789[]`)
	c.send("42[\"x\"]")
	eventually(t, "the connection goes on", func() bool { return n.Stats().Unhandled == 1 })
}

func TestCallAll(t *testing.T) {
	n := start(t, server.WithAckTimeout(200*time.Millisecond))
	g := gather(t, n, map[string][]string{"a": {"r"}, "b": {"r"}, "c": {"r"}, "d": nil})
	for _, tt := range []struct {
		name               string
		answers            map[string]string // of those who answer
		sum, got, expected int
		cause              error
	}{
		{"all", map[string]string{"a": "[1]", "b": "[2]", "c": "[3]"}, 6, 3, 0, nil},
		{"one is silent", map[string]string{"a": "[1]", "b": "[2]"}, 3, 2, 3, context.DeadlineExceeded},
		{"one answers nonsense", map[string]string{"a": "[1]", "b": `["x"]`, "c": "[3]"}, 4, 2, 3, nil},
		{"silent and nonsense", map[string]string{"a": "[1]", "b": `["x"]`}, 1, 1, 3, context.DeadlineExceeded},
		{"nobody", nil, 0, 0, 3, context.DeadlineExceeded},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for name, c := range g.clients {
				c.t = t
				if name == "d" {
					continue
				}
				go func() {
					p := <-c.packets
					if a := tt.answers[name]; a != "" {
						c.send("43" + strings.TrimSuffix(p[1:], `["q"]`) + a)
					}
				}()
			}
			got, err := server.CallAll[int](t.Context(), n.To("r"), "q")
			sum := 0
			for _, v := range got {
				sum += v
			}
			var missing *server.MissingAnswersError
			switch {
			case sum != tt.sum || len(got) != tt.got:
				t.Errorf("got %v", got)
			case tt.expected == 0 && err != nil:
				t.Errorf("error %v", err)
			case tt.expected > 0 && (!errors.As(err, &missing) || missing.Expected != tt.expected || missing.Received != tt.got):
				t.Errorf("error %+v", err)
			case tt.cause != nil && !errors.Is(err, tt.cause) && !strings.Contains(err.Error(), "no answer"):
				t.Errorf("cause %v", err)
			}
		})
	}
	if got, err := server.CallAll[int](t.Context(), n.To("none"), "q"); err != nil || len(got) != 0 {
		t.Errorf("nobody to ask: %v, %v", got, err)
	}
}

func TestCallAllOfOneSocket(t *testing.T) {
	_, c, s := asked(t)
	go func() { c.send("43" + c.ackID("q") + "[5]") }()
	got, err := server.CallAll[int](t.Context(), s.Compress(false), "q")
	if err != nil || len(got) != 1 || got[0] != 5 {
		t.Errorf("got %v, %v", got, err)
	}
}

func TestCallAllWhileOneDisconnects(t *testing.T) {
	n := start(t)
	g := gather(t, n, map[string][]string{"a": nil, "b": nil})
	go func() {
		g.clients["a"].send("43" + g.clients["a"].ackID("q") + "[1]")
		g.clients["b"].ackID("q")
		_ = g.clients["b"].conn.Close()
	}()
	// No time-out is waited for: the answer of b cannot come any more.
	got, err := server.CallAll[int](t.Context(), n.Target, "q")
	var missing *server.MissingAnswersError
	if len(got) != 1 || !errors.As(err, &missing) || missing.Expected != 2 || missing.Received != 1 {
		t.Errorf("got %v, %v", got, err)
	}
}

func TestEventAck(t *testing.T) {
	n := start(t)
	events := make(chan *server.Event, 1)
	n.Handle("x", func(e *server.Event) error { events <- e; return nil })
	c, _ := join(t, n)
	c.send(`42["x"]`)
	e := recv(t, events)
	if err := e.Ack(1); !errors.Is(err, server.ErrNoAck) || e.WantsAck() {
		t.Errorf("Ack that nobody wants: %v", err)
	}
	c.send(`4217["x"]`)
	e = recv(t, events)
	if err := e.Ack(func() {}); err == nil {
		t.Error("a function was encoded")
	}
	must(t, e.Ack("late", 1)) // from another goroutine than the handler's, after that returned
	c.want(`317["late",1]`)
	if err := e.Ack(2); !errors.Is(err, server.ErrAcked) {
		t.Errorf("second Ack: %v", err)
	}
	c.send(`4218["x"]`)
	e = recv(t, events)
	c.send("41")
	<-e.Socket().Context().Done()
	if err := e.Ack(1); !errors.Is(err, server.ErrDisconnected) {
		t.Errorf("Ack after the end: %v", err)
	}
	c.join("/") // its first packet is the answer, not the late acknowledgement
}

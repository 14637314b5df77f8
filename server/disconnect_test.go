package server_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/roomspan/roomspan/server"
)

func TestDisconnectReasons(t *testing.T) {
	big := strings.Repeat("x", 1<<16)
	for _, tt := range []struct {
		reason server.Reason
		opts   []server.Option
		end    func(n *node, c *client, s *server.Socket)
	}{
		{server.ReasonClientDisconnect, nil, func(_ *node, c *client, _ *server.Socket) { c.send("41") }},
		{server.ReasonServerDisconnect, nil, func(_ *node, c *client, s *server.Socket) {
			s.Disconnect(false)
			c.want("1")
			s.Disconnect(false) // once is enough
		}},
		{server.ReasonServerDisconnect, nil, func(_ *node, c *client, s *server.Socket) {
			s.Disconnect(true)
			c.want("1")
			c.gone()
		}},
		{server.ReasonTransportClose, nil, func(_ *node, c *client, _ *server.Socket) { _ = c.conn.Close() }},
		{server.ReasonTransportClose, nil, func(_ *node, c *client, _ *server.Socket) { c.send("1") }},
		{server.ReasonTransportError, nil, func(_ *node, c *client, _ *server.Socket) { c.send("2"); c.gone() }},
		{server.ReasonParseError, nil, func(_ *node, c *client, _ *server.Socket) { c.send("4nonsense"); c.gone() }},
		{server.ReasonForcedServerClose, nil, func(_ *node, c *client, _ *server.Socket) { c.send("40"); c.gone() }},
		{server.ReasonServerShuttingDown, nil, func(n *node, c *client, _ *server.Socket) {
			_ = n.Shutdown(context.Background())
			c.gone()
		}},
		{server.ReasonSlowClient, []server.Option{server.WithQueueLimit(1<<20, 1<<17)},
			func(_ *node, _ *client, s *server.Socket) {
				for s.Emit("big", big) == nil {
				}
			}},
	} {
		t.Run(string(tt.reason), func(t *testing.T) {
			n := start(t, tt.opts...)
			var calls atomic.Int32
			type last struct {
				s      *server.Socket
				reason server.Reason
				rooms  []string
			}
			ended := make(chan last, 1)
			connected := make(chan *server.Socket, 1)
			n.OnConnection(func(s *server.Socket) {
				s.Join("r")
				connected <- s
			})
			n.OnDisconnect(func(s *server.Socket, r server.Reason) {
				calls.Add(1)
				s.Join("late")
				ended <- last{s, r, s.Rooms()}
			})
			c, err := tryDial(n)
			must(t, err)
			if tt.reason == server.ReasonSlowClient {
				c.deaf = make(chan struct{})
			}
			c.attach(t)
			c.send("40")
			if c.deaf == nil {
				sidOf(t, "/", c.next())
			}
			s := recv(t, connected)
			ctx := s.Context()
			tt.end(n, c, s)
			l := recv(t, ended)
			if l.s != s || l.reason != tt.reason || !slices.Equal(l.rooms, []string{s.ID(), "r"}) {
				t.Errorf("disconnected with reason %q and rooms %q", l.reason, l.rooms)
			}
			checkDisconnected(t, s, ctx)
			if found, err := n.To("late", "r").Fetch(context.Background()); len(found) > 0 {
				t.Errorf("a room has a socket that is gone: %v, %v", found, err)
			}
			n.stop()
			if got := calls.Load(); got != 1 {
				t.Errorf("OnDisconnect was called %d times", got)
			}
			if st := n.Stats(); st.Sockets != 0 || st.Sessions != 0 {
				t.Errorf("%d sockets and %d sessions are left", st.Sockets, st.Sessions)
			}
		})
	}
}

func checkDisconnected(t *testing.T, s *server.Socket, ctx context.Context) {
	t.Helper()
	<-ctx.Done()
	if !errors.Is(context.Cause(ctx), server.ErrDisconnected) || s.Context().Err() == nil {
		t.Errorf("context ended with %v", context.Cause(ctx))
	}
	if s.Connected() {
		t.Error("the socket is still connected")
	}
	if err := s.Emit("x"); !errors.Is(err, server.ErrDisconnected) {
		t.Errorf("Emit: %v", err)
	}
	if err := s.Volatile().Emit("x"); !errors.Is(err, server.ErrDisconnected) {
		t.Errorf("Volatile.Emit: %v", err)
	}
	if _, err := s.EmitWithAck(context.Background(), "x"); !errors.Is(err, server.ErrDisconnected) {
		t.Errorf("EmitWithAck: %v", err)
	}
}

func TestDisconnectConcernsOneNamespace(t *testing.T) {
	n := start(t)
	a := n.of(t, "/a")
	a.OnConnection(func(s *server.Socket) { s.Disconnect(false) })
	c, _ := join(t, n)
	c.join("/a")
	c.want("1/a,")
	must(t, a.Emit("nobody"))
	must(t, n.Emit("here"))
	c.want(event("here"))
}

func TestDisconnectWithConnectionEndsAllNamespaces(t *testing.T) {
	n := start(t)
	reasons := make(chan server.Reason, 2)
	sockets := make(chan *server.Socket, 2)
	for _, name := range []string{"/", "/a"} {
		ns := n.of(t, name)
		ns.OnConnection(func(s *server.Socket) { sockets <- s })
		ns.OnDisconnect(func(_ *server.Socket, r server.Reason) { reasons <- r })
	}
	c, _ := join(t, n)
	c.join("/a")
	recv(t, sockets).Disconnect(true)
	c.want("1", "1/a,")
	c.gone()
	for range 2 {
		if r := recv(t, reasons); r != server.ReasonServerDisconnect {
			t.Errorf("reason %q", r)
		}
	}
}

// A handle that is kept must not reach the socket that came after it on the
// same connection.
func TestOldSocketDoesNotDisconnectTheNewOne(t *testing.T) {
	n := start(t)
	sockets := make(chan *server.Socket, 2)
	n.OnConnection(func(s *server.Socket) { sockets <- s })
	c, _ := join(t, n)
	old := recv(t, sockets)
	c.send("41")
	c.join("/")
	old.Disconnect(false)
	if err := old.Emit("old"); !errors.Is(err, server.ErrDisconnected) {
		t.Errorf("Emit on the old socket: %v", err)
	}
	must(t, recv(t, sockets).Emit("new"))
	c.want(event("new"))
}

func TestEventsBeforeAnEndAreHandled(t *testing.T) {
	for _, tt := range []struct {
		name string
		end  func(c *client)
	}{
		{"client disconnect", func(c *client) { c.send("41") }},
		{"close", func(c *client) { c.send("1") }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			n := start(t)
			var order []string
			done := make(chan struct{})
			release := make(chan struct{})
			n.Handle("x", func(e *server.Event) error {
				<-release
				order = append(order, "x")
				return nil
			})
			n.OnDisconnect(func(*server.Socket, server.Reason) {
				order = append(order, "end")
				close(done)
			})
			c, _ := join(t, n)
			c.send(`42["x"]`, `42["x"]`)
			tt.end(c)
			eventually(t, "the socket has ended", func() bool { return n.Stats().Sockets == 0 })
			close(release)
			recv(t, done)
			if got := strings.Join(order, " "); got != "x x end" {
				t.Errorf("order %q", got)
			}
		})
	}
}

func TestServerDisconnectDropsWaitingEvents(t *testing.T) {
	n := start(t)
	var handled atomic.Int32
	done := make(chan struct{})
	received := make(chan struct{})
	n.Handle("x", func(e *server.Event) error {
		handled.Add(1)
		<-received
		e.Socket().Disconnect(false)
		return nil
	})
	n.OnDisconnect(func(*server.Socket, server.Reason) { close(done) })
	c, _ := join(t, n)
	c.send(`42["x"]`, `42["x"]`, `42["x"]`)
	eventually(t, "all are received", func() bool { return n.Stats().Received == 4 })
	close(received)
	recv(t, done)
	if got := handled.Load(); got != 1 {
		t.Errorf("%d events were handled", got)
	}
	c.want("1")
}

func TestPollingClientGoes(t *testing.T) {
	n := start(t)
	reasons := make(chan server.Reason, 1)
	n.OnDisconnect(func(_ *server.Socket, r server.Reason) { reasons <- r })
	p := poll(t, n)
	p.post("40")
	p.get()
	p.post("1")
	if r := recv(t, reasons); r != server.ReasonTransportClose {
		t.Errorf("reason %q", r)
	}
}

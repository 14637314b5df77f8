package server_test

import (
	"context"
	"errors"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"github.com/roomspan/roomspan/server"
)

func TestShutdown(t *testing.T) {
	n := start(t)
	var reasons [2]atomic.Value
	var connected atomic.Int32
	n.OnDisconnect(func(s *server.Socket, r server.Reason) {
		i, _ := server.Data[int](s)
		reasons[i].Store(r)
	})
	n.OnConnection(func(s *server.Socket) { s.SetData(int(connected.Add(1)) - 1) })
	ended := make(chan struct{})
	started := make(chan struct{})
	n.Handle("block", func(e *server.Event) error {
		close(started)
		<-e.Socket().Context().Done()
		close(ended)
		return nil
	})
	c, _ := join(t, n)
	c.send(`42["block"]`)
	recv(t, started)
	p := poll(t, n)
	p.post("40")
	p.get()
	parked := make(chan string, 1)
	go func() {
		body, _ := p.get()
		parked <- body
	}()
	must(t, n.Emit("last"))
	body := recv(t, parked)
	if body == `42["last"]` {
		go func() {
			body, _ := p.get()
			parked <- body
		}()
		body = ""
	}
	must(t, n.Shutdown(context.Background()))
	c.gone()
	recv(t, ended)
	for i := range reasons {
		if r := reasons[i].Load(); r != server.ReasonServerShuttingDown {
			t.Errorf("socket %d ended with reason %v", i, r)
		}
	}
	if body == "" {
		// The poll was parked, or came too late and was refused.
		recv(t, parked)
	}
	c.want(event("last"))
	checkClosed(t, n)
}

func checkClosed(t *testing.T, n *node) {
	t.Helper()
	must(t, n.Shutdown(context.Background()))
	if _, err := n.Of("/new"); !errors.Is(err, server.ErrClosed) {
		t.Errorf("Of: %v", err)
	}
	for name, err := range map[string]error{
		"Emit":       n.Emit("x"),
		"To":         n.To("r").Volatile().Emit("x"),
		"Join":       n.Join("x"),
		"Leave":      n.Leave("x"),
		"Disconnect": n.Disconnect(true),
	} {
		if !errors.Is(err, server.ErrClosed) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := n.Fetch(context.Background()); !errors.Is(err, server.ErrClosed) {
		t.Errorf("Fetch: %v", err)
	}
	if _, err := n.EmitWithAck(context.Background(), "x"); !errors.Is(err, server.ErrClosed) {
		t.Errorf("EmitWithAck: %v", err)
	}
	if st := n.Stats(); st.Sockets != 0 || st.Sessions != 0 {
		t.Errorf("%d sockets and %d sessions are left", st.Sockets, st.Sessions)
	}
}

// Handlers that ignore their context are not waited for beyond that of
// Shutdown.
func TestShutdownGivesUpOnHandlers(t *testing.T) {
	n := start(t)
	started, release := make(chan struct{}), make(chan struct{})
	n.Handle("block", func(*server.Event) error {
		close(started)
		<-release
		return nil
	})
	c, _ := join(t, n)
	c.send(`42["block"]`)
	recv(t, started)
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	if err := n.Shutdown(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Shutdown: %v", err)
	}
	c.gone()
	close(release)
	eventually(t, "OnDisconnect and all that is over", func() bool { return n.Stats().Sockets == 0 })
}

func TestShutdownWithClientThatDoesNotAnswer(t *testing.T) {
	n := start(t, server.WithWriteTimeout(100*time.Millisecond))
	c, err := tryDial(n)
	must(t, err)
	c.deaf = make(chan struct{})
	c.attach(t)
	c.send("40")
	eventually(t, "it is connected", func() bool { return n.Stats().Sockets == 1 })
	must(t, n.Shutdown(context.Background()))
}

func TestShutdownWhileAReaderWaits(t *testing.T) {
	n := start(t, server.WithInboundLimit(1, 1))
	n.Handle("x", func(e *server.Event) error { <-e.Socket().Context().Done(); return nil })
	c, _ := join(t, n)
	for range 10 {
		c.send(`42["x"]`)
	}
	eventually(t, "the client is not read", func() bool { return n.Stats().InboundPauses > 0 })
	must(t, n.Shutdown(context.Background()))
}

func TestShutdownLeavesNoGoroutines(t *testing.T) {
	before := runtime.NumGoroutine()
	for range 20 {
		s, err := server.New()
		must(t, err)
		_, err = s.Of("/a")
		must(t, err)
		must(t, s.Shutdown(context.Background()))
	}
	eventually(t, "no goroutine is left", func() bool { return runtime.NumGoroutine() <= before })
}

func TestConcurrentShutdown(t *testing.T) {
	n := start(t)
	join(t, n)
	done := make(chan error, 4)
	for range 4 {
		go func() { done <- n.Shutdown(context.Background()) }()
	}
	for range 4 {
		must(t, recv(t, done))
	}
}
